/** A tokenizer.json from GGUF metadata. */
import { ModelError } from '../errors.js'
import { type Fields, show } from './fields.js'
import type { GgufHeader } from './gguf-file.js'
import type { TokenizerDescription } from './tokenizer-files.js'

/** llama.cpp's token types. */
const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 }

interface Vocabulary {
  tokens: string[]
  types: number[]
}

export function tokenizerFromGguf(header: GgufHeader): TokenizerDescription {
  const { file, metadata } = header
  const vocabulary = readVocabulary(header)
  const model = metadata['tokenizer.ggml.model']
  let json: Fields
  if (model === 'gpt2') json = byteLevel(header, vocabulary)
  else if (model === 'llama') json = sentencePiece(header, vocabulary)
  else
    throw new ModelError(
      `${file}: tokenizer.ggml.model: ${show(model)} is not supported; expected gpt2 or llama`,
    )
  return {
    json: { version: '1.0', truncation: null, padding: null, added_tokens: addedTokens(vocabulary), ...json },
    specialTokens: specialTokens(metadata, vocabulary),
    chatTemplates: chatTemplates(metadata),
    place: file,
  }
}

function readVocabulary({ file, metadata }: GgufHeader): Vocabulary {
  const tokens = metadata['tokenizer.ggml.tokens']
  if (!isListOf<string>(tokens, 'string'))
    throw new ModelError(`${file}: tokenizer.ggml.tokens: expected a list of texts, got ${show(tokens)}`)
  const types = metadata['tokenizer.ggml.token_type'] ?? tokens.map(() => tokenTypes.normal)
  if (!isListOf<number>(types, 'number') || types.length !== tokens.length)
    throw new ModelError(
      `${file}: tokenizer.ggml.token_type: expected ${tokens.length} numbers, got ${show(types)}`,
    )
  return { tokens, types }
}

function isListOf<T>(value: unknown, type: string): value is T[] {
  return Array.isArray(value) && value.every(item => typeof item === type)
}

/** Control tokens are special; user-defined ones are matched before splitting too, but are plain text otherwise. */
function addedTokens({ tokens, types }: Vocabulary): Fields[] {
  const { control, unknown, userDefined } = tokenTypes
  return tokens.flatMap((content, id) => {
    const type = types[id]!
    if (type !== control && type !== userDefined && type !== unknown) return []
    const special = type !== userDefined
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }]
  })
}

const split = (pattern: string) => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
})
const byteLevelStep = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})

/** By tokenizer.ggml.pre: how text is cut before merging, as in the models' own tokenizer.json. */
const preTokenizers: Record<string, Fields[]> = {
  'gpt-2': [byteLevelStep(true)],
  smollm: [{ type: 'Digits', individual_digits: true }, byteLevelStep(true)],
  qwen2: [
    split(
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ),
    byteLevelStep(false),
  ],
  'llama-bpe': [
    split(
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ),
    byteLevelStep(false),
  ],
}

/** Other names of the same rules in llama.cpp. */
const aliases: Record<string, string> = {
  'llama-v3': 'llama-bpe',
  llama3: 'llama-bpe',
  'deepseek-r1-qwen': 'qwen2',
}

function byteLevel({ file, metadata }: GgufHeader, { tokens }: Vocabulary): Fields {
  const name = metadata['tokenizer.ggml.pre'] ?? 'default'
  const steps = preTokenizers[aliases[String(name)] ?? String(name)]
  if (!steps)
    throw new ModelError(
      `${file}: tokenizer.ggml.pre: ${show(name)} is not supported; expected one of ` +
        `${[...Object.keys(preTokenizers), ...Object.keys(aliases)].join(', ')}. Take the model's safetensors instead.`,
    )
  const merges = metadata['tokenizer.ggml.merges']
  if (!isListOf<string>(merges, 'string'))
    throw new ModelError(`${file}: tokenizer.ggml.merges: expected a list of texts, got ${show(merges)}`)
  const isQwen = steps === preTokenizers.qwen2
  const isLlama = steps === preTokenizers['llama-bpe']
  return {
    normalizer: isQwen ? { type: 'NFC' } : null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: steps },
    post_processor: postProcessor(metadata, tokens) ?? { ...byteLevelStep(false), trim_offsets: !isQwen },
    decoder: byteLevelStep(true),
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: isQwen ? '' : null,
      end_of_word_suffix: isQwen ? '' : null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: isLlama,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(merge => splitMerge(merge)),
    },
  }
}

/** The space between the two sides; a side can hold one only as its first character. */
function splitMerge(merge: string): [string, string] {
  const space = merge.indexOf(' ', 1)
  return [merge.slice(0, space), merge.slice(space + 1)]
}

function sentencePiece({ file, metadata }: GgufHeader, { tokens, types }: Vocabulary): Fields {
  const scores = metadata['tokenizer.ggml.scores']
  if (!isListOf<number>(scores, 'number') || scores.length !== tokens.length)
    throw new ModelError(
      `${file}: tokenizer.ggml.scores: expected ${tokens.length} numbers, got ${show(scores)}`,
    )
  const addPrefix = metadata['tokenizer.ggml.add_space_prefix'] !== false
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  return {
    normalizer: addPrefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace] }
      : replace,
    pre_tokenizer: null,
    post_processor: postProcessor(metadata, tokens) ?? null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: tokens[types.indexOf(tokenTypes.unknown)] ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: mergesByScore(tokens, types, scores),
    },
  }
}

/**
 * SentencePiece merges whichever neighbours make the piece of the highest score. As merges: for each piece, every way
 * to cut it into two pieces, in the order of scores (transformers' `generate_merges`).
 */
function mergesByScore(tokens: string[], types: number[], scores: number[]): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const mergeable = tokens
    .map((_, id) => id)
    .filter(id => types[id] === tokenTypes.normal || types[id] === tokenTypes.userDefined)
  const cuts = mergeable.flatMap(id => {
    const characters = Array.from(tokens[id]!)
    const found: { left: string; right: string; score: number; leftId: number; rightId: number }[] = []
    for (let at = 1; at < characters.length; at++) {
      const left = characters.slice(0, at).join('')
      const right = characters.slice(at).join('')
      const leftId = ids.get(left)
      const rightId = ids.get(right)
      if (leftId !== undefined && rightId !== undefined)
        found.push({ left, right, score: scores[id]!, leftId, rightId })
    }
    return found.sort((a, b) => a.leftId - b.leftId || a.rightId - b.rightId)
  })
  return cuts.sort((a, b) => b.score - a.score).map(({ left, right }) => [left, right])
}

/** Adds the beginning (and end) of sequence where the metadata asks for it and special tokens are wanted. */
function postProcessor(metadata: Fields, tokens: string[]): Fields | undefined {
  const token = (role: 'bos' | 'eos') => {
    const id = metadata[`tokenizer.ggml.${role}_token_id`]
    const wanted = metadata[`tokenizer.ggml.add_${role}_token`] === true && typeof id === 'number'
    return wanted ? { id: id as number, text: tokens[id as number]! } : undefined
  }
  const first = token('bos')
  const last = token('eos')
  if (!first && !last) return undefined
  const special = (text: string, type: number) => ({ SpecialToken: { id: text, type_id: type } })
  const sequence = (name: 'A' | 'B', type: number) => [
    ...(first ? [special(first.text, type)] : []),
    { Sequence: { id: name, type_id: type } },
    ...(last ? [special(last.text, type)] : []),
  ]
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries(
      [first, last].flatMap(token =>
        token ? [[token.text, { id: token.text, ids: [token.id], tokens: [token.text] }]] : [],
      ),
    ),
  }
}

function specialTokens(metadata: Fields, { tokens }: Vocabulary): Record<string, string> {
  const names = { bos_token: 'bos', eos_token: 'eos', unk_token: 'unknown', pad_token: 'padding' }
  return Object.fromEntries(
    Object.entries(names).flatMap(([role, name]) => {
      const text = tokens[metadata[`tokenizer.ggml.${name}_token_id`] as number]
      return text === undefined ? [] : [[role, text]]
    }),
  )
}

function chatTemplates(metadata: Fields): Map<string, string> {
  const templates = new Map<string, string>()
  const main = metadata['tokenizer.chat_template']
  if (typeof main === 'string') templates.set('default', main)
  const names = metadata['tokenizer.chat_templates']
  for (const name of Array.isArray(names) ? names : []) {
    const source = metadata[`tokenizer.chat_template.${name}`]
    if (typeof source === 'string') templates.set(String(name), source)
  }
  return templates
}
