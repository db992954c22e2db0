/** A tokenizer.json from GGUF metadata. */
import { ModelError } from '../errors.js'
import { type Fields, show } from './fields.js'
import type { GgufHeader } from './gguf-file.js'
import { type SpecialToken, surroundingTokens } from './post-processor.js'
import { byteLevel, preTokenizers } from './pre-tokenizers.js'
import { mergesByScore } from './sentencepiece-merges.js'
import {
  type AddedToken,
  addedToken,
  type TokenizerDescription,
  type TokenizerJson,
} from './tokenizer-files.js'

/** llama.cpp's token types. */
const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 }

interface Vocabulary {
  tokens: string[]
  types: number[]
}

export function tokenizerFromGguf(header: GgufHeader): TokenizerDescription {
  const { file, metadata } = header
  const vocabulary = readVocabulary(header)
  return {
    json: tokenizerJson(header, vocabulary),
    specialTokens: specialTokens(metadata, vocabulary),
    chatTemplates: chatTemplates(metadata),
    place: file,
  }
}

function tokenizerJson(header: GgufHeader, vocabulary: Vocabulary): TokenizerJson {
  const model = header.metadata['tokenizer.ggml.model']
  if (model === 'gpt2') return byteLevelJson(header, vocabulary)
  if (model === 'llama') return sentencePieceJson(header, vocabulary)
  throw new ModelError(
    `${header.file}: tokenizer.ggml.model: ${show(model)} is not supported; expected gpt2 or llama`,
  )
}

function readVocabulary(header: GgufHeader): Vocabulary {
  const tokens = readList<string>(header, 'tokens', 'string')
  const isPiece = header.metadata['tokenizer.ggml.model'] === 'llama'
  return {
    // The parser takes the token U+FEFF, which SentencePiece vocabularies have, for a byte order mark and drops it.
    tokens: isPiece ? tokens.map(token => (token === '' ? '\uFEFF' : token)) : tokens,
    types: readListOfLength<number>(header, 'token_type', 'number', tokens.length) ?? tokens.map(() => 1),
  }
}

function readList<T>({ file, metadata }: GgufHeader, name: string, type: 'string' | 'number'): T[] {
  const value = metadata[`tokenizer.ggml.${name}`]
  if (!Array.isArray(value) || !value.every(item => typeof item === type))
    throw new ModelError(`${file}: tokenizer.ggml.${name}: expected a list of ${type}s, got ${show(value)}`)
  return value as T[]
}

function readListOfLength<T>(
  header: GgufHeader,
  name: string,
  type: 'string' | 'number',
  length: number,
): T[] | undefined {
  if (header.metadata[`tokenizer.ggml.${name}`] === undefined) return undefined
  const list = readList<T>(header, name, type)
  if (list.length === length) return list
  throw new ModelError(
    `${header.file}: tokenizer.ggml.${name}: expected ${length} values, one for each token, got ${list.length}`,
  )
}

/** Control tokens are special; user-defined ones are matched as a whole too, but are text like any other. */
function addedTokens({ tokens, types }: Vocabulary): AddedToken[] {
  const { control, unknown, userDefined } = tokenTypes
  return tokens.flatMap((content, id) => {
    const type = types[id]!
    if (type === userDefined) return [addedToken(id, content, false)]
    return type === control || type === unknown ? [addedToken(id, content, true)] : []
  })
}

function byteLevelJson(header: GgufHeader, vocabulary: Vocabulary): TokenizerJson {
  const { file, metadata } = header
  const name = metadata['tokenizer.ggml.pre'] ?? 'default'
  const pre = Object.hasOwn(preTokenizers, String(name)) ? preTokenizers[String(name)] : undefined
  if (!pre)
    throw new ModelError(
      `${file}: tokenizer.ggml.pre: ${show(name)} is not supported; expected one of ` +
        `${Object.keys(preTokenizers).join(', ')}. Take the model's safetensors instead.`,
    )
  return {
    version: '1.0',
    added_tokens: addedTokens(vocabulary),
    normalizer: pre.normalizer ?? null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: pre.steps },
    post_processor: postProcessor(header, vocabulary, pre.addsBeginning ?? false),
    decoder: byteLevel(true),
    model: {
      type: 'BPE',
      ignore_merges: pre.ignoreMerges ?? false,
      vocab: vocabularyJson(header, vocabulary),
      merges: readList<string>(header, 'merges', 'string').map(merge => splitMerge(header, merge)),
    },
  }
}

/** As transformers' LlamaTokenizer: spaces written as ▁, one put before the text, unknown characters as bytes. */
function sentencePieceJson(header: GgufHeader, vocabulary: Vocabulary): TokenizerJson {
  const { metadata } = header
  const { tokens, types } = vocabulary
  const addsPrefix = metadata['tokenizer.ggml.add_space_prefix'] !== false
  const prefix = addsPrefix ? 'first' : 'never'
  return {
    version: '1.0',
    added_tokens: addedTokens(vocabulary),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: prefix, split: false },
    post_processor: postProcessor(header, vocabulary, true),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addsPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      unk_token: tokens[types.indexOf(tokenTypes.unknown)] ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: vocabularyJson(header, vocabulary),
      merges: sentencePieceMerges(header, vocabulary),
    },
  }
}

function sentencePieceMerges(header: GgufHeader, { tokens, types }: Vocabulary): [string, string][] {
  if (header.metadata['tokenizer.ggml.merges'] !== undefined)
    return readList<string>(header, 'merges', 'string').map(merge => splitMerge(header, merge))
  const scores = readListOfLength<number>(header, 'scores', 'number', tokens.length)
  if (!scores) throw new ModelError(`${header.file}: neither tokenizer.ggml.merges nor tokenizer.ggml.scores`)
  const whole = new Set([tokenTypes.control, tokenTypes.unknown, tokenTypes.byte])
  return mergesByScore(tokens, scores, id => !whole.has(types[id]!))
}

/** The space between the two sides; the left side itself may begin with one. */
function splitMerge({ file }: GgufHeader, merge: string): [string, string] {
  const space = merge.indexOf(' ', 1)
  if (space < 0)
    throw new ModelError(
      `${file}: tokenizer.ggml.merges: expected two texts with a space between, got ${show(merge)}`,
    )
  return [merge.slice(0, space), merge.slice(space + 1)]
}

function vocabularyJson({ file }: GgufHeader, vocabulary: Vocabulary): Record<string, number> {
  const { tokens } = vocabulary
  const vocab: Record<string, number> = Object.fromEntries(tokens.map((token, id) => [token, id]))
  if (Object.keys(vocab).length !== tokens.length) {
    const twice = tokens.find((token, id) => vocab[token] !== id)
    throw new ModelError(
      `${file}: tokenizer.ggml.tokens: ${show(twice)} occurs twice; expected each token once`,
    )
  }
  for (const [id, token] of tokens.entries()) if (isPadding(vocabulary, id)) delete vocab[token]
  return vocab
}

/**
 * A model may have more embeddings than there are tokens (Qwen's are padded). Converters name what is missing; with
 * these names left out, the tokenizer is the one that the model's safetensors come with.
 */
function isPadding({ tokens, types }: Vocabulary, id: number): boolean {
  return types[id] === tokenTypes.unused && tokens[id] === `[PAD${id}]`
}

/** Special tokens around a text, where the metadata asks for them and the caller does too. */
function postProcessor({ metadata }: GgufHeader, { tokens }: Vocabulary, addsBeginning: boolean): Fields {
  const wanted = (role: 'bos' | 'eos', fallback: boolean): SpecialToken | undefined => {
    const id = metadata[`tokenizer.ggml.${role}_token_id`]
    const text = tokens[id as number]
    const add = metadata[`tokenizer.ggml.add_${role}_token`] ?? fallback
    return add === true && text !== undefined ? { id: id as number, text } : undefined
  }
  return surroundingTokens(wanted('bos', addsBeginning), wanted('eos', false))
}

const roles = { bos_token: 'bos', eos_token: 'eos', unk_token: 'unknown', pad_token: 'padding' }

function specialTokens(metadata: Fields, { tokens }: Vocabulary): Record<string, string> {
  return Object.fromEntries(
    Object.entries(roles).flatMap(([role, name]) => {
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
