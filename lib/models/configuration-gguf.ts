/** The configuration from GGUF metadata. */
import { open } from 'node:fs/promises'
import { ModelError } from '../errors.js'
import type { ModelConfiguration } from './configuration.js'
import { FieldReader, show } from './fields.js'
import { type GgufHeader, readGgufHeader } from './gguf-file.js'
import { inverseFrequencies, mostHeadSize, type Rotary, rotaryOfDivisors } from './rotary.js'

const architectures = ['llama', 'qwen2', 'qwen3'] as const

export async function configurationFromGguf(file: string): Promise<ModelConfiguration> {
  const header = await readGgufHeader(file)
  const { metadata, tensors } = header
  const reader = new FieldReader(metadata, file)
  const architecture = readArchitecture(reader)
  const key = (name: string) => `${architecture}.${name}`

  const embedding = tensors.find(({ name }) => name === 'token_embd.weight')
  if (!embedding) throw new ModelError(`${file}: the tensor token_embd.weight is missing`)
  const hiddenSize = reader.size(key('embedding_length'))
  const heads = reader.size(key('attention.head_count'))
  const keyValueHeads = reader.size(key('attention.head_count_kv'), heads)
  if (heads % keyValueHeads !== 0)
    reader.fail(key('attention.head_count_kv'), `a divisor of the ${heads} heads`)
  const headSize = reader.size(key('attention.key_length'), hiddenSize / heads)
  if (headSize % 2 !== 0 || headSize > mostHeadSize)
    reader.fail(key('attention.key_length'), `an even number of at most ${mostHeadSize}`)
  refuseUnsupported(reader, key, headSize)
  return {
    architecture,
    vocabularySize: embedding.shape[0]!,
    hiddenSize,
    intermediateSize: reader.size(key('feed_forward_length')),
    layers: reader.size(key('block_count')),
    heads,
    keyValueHeads,
    headSize,
    normEpsilon: decimal(reader.positive(key('attention.layer_norm_rms_epsilon'))),
    rotaryInverseFrequencies: inverseFrequencies(await readGgufRotary(header, headSize), headSize),
    queryKeyValueBias: architecture === 'qwen2',
    queryKeyNorm: architecture === 'qwen3',
    tiedEmbeddings: !tensors.some(({ name }) => name === 'output.weight'),
    maxPositions: reader.size(key('context_length')),
    beginningOfSequenceToken: reader.token('tokenizer.ggml.bos_token_id'),
    endOfSequenceTokens: endTokens(reader),
  }
}

function readArchitecture({ fields, place }: FieldReader): ModelConfiguration['architecture'] {
  const name = fields['general.architecture']
  const found = architectures.find(architecture => architecture === name)
  if (found) return found
  throw new ModelError(
    `${place}: general.architecture: ${show(name)} is not supported; expected ${architectures.join(', ')}`,
  )
}

function refuseUnsupported(reader: FieldReader, key: (name: string) => string, headSize: number): void {
  const sizes = ['rope.dimension_count', 'attention.value_length']
  for (const name of sizes)
    if (reader.size(key(name), headSize) !== headSize)
      reader.fail(key(name), `the size of a head (${headSize}): other layouts are not supported`)
  if (Number(reader.fields[key('attention.sliding_window')] ?? 0) > 0)
    reader.fail(key('attention.sliding_window'), 'none: sliding-window attention is not supported')
  if (Number(reader.fields[key('expert_count')] ?? 0) > 0)
    reader.fail(key('expert_count'), 'none: mixtures of experts are not supported')
}

/**
 * In the terms of config.json.
 * @throws {ModelError} for a scaling that is not supported
 */
export async function readGgufRotary(header: GgufHeader, headSize: number): Promise<Rotary> {
  const { file, metadata } = header
  const reader = new FieldReader(metadata, file)
  const architecture = readArchitecture(reader)
  const key = (name: string) => `${architecture}.rope.${name}`
  const theta = decimal(reader.positive(key('freq_base'), 10000))
  const type = reader.text(key('scaling.type'), 'none')
  if (type === 'linear') return { type, theta, factor: decimal(reader.positive(key('scaling.factor'))) }
  if (type !== 'none')
    throw new ModelError(
      `${file}: ${key('scaling.type')}: ${show(type)} is not supported; expected none or linear ` +
        '(Llama 3 keeps its scaling in the tensor rope_freqs.weight, which is supported)',
    )
  const divisors = await readDivisors(header, headSize / 2)
  if (!divisors) return { type: 'default', theta }
  const rotary = rotaryOfDivisors(theta, divisors)
  if (rotary) return rotary
  throw new ModelError(
    `${file}: rope_freqs.weight: expected Llama 3's scaling of the rotary embedding, got ${show([...divisors])}`,
  )
}

/** Llama 3's scaling: converters store what each frequency is divided by as a tensor. */
async function readDivisors(
  { file, size, tensors }: GgufHeader,
  count: number,
): Promise<Float32Array | undefined> {
  const tensor = tensors.find(({ name }) => name === 'rope_freqs.weight')
  if (!tensor) return undefined
  if (tensor.type !== 'F32' || tensor.shape.length !== 1 || tensor.shape[0] !== count)
    throw new ModelError(
      `${file}: rope_freqs.weight: expected F32 of shape [${count}], got ${tensor.type} of shape [${tensor.shape}]`,
    )
  const bytes = new Uint8Array(count * 4)
  if (tensor.offset + bytes.length > size)
    throw new ModelError(
      `${file} is truncated: rope_freqs.weight ends at byte ${tensor.offset + bytes.length} of ${size}`,
    )
  const handle = await open(file, 'r')
  try {
    await handle.read(bytes, 0, bytes.length, tensor.offset)
  } finally {
    await handle.close()
  }
  return new Float32Array(bytes.buffer)
}

/** Beside the end of a text, some converters name the end of a turn or of a message. */
function endTokens(reader: FieldReader): number[] {
  const names = ['eos_token_id', 'eot_token_id', 'eom_token_id']
  const tokens = names.map(name => reader.token(`tokenizer.ggml.${name}`))
  return [...new Set(tokens.filter(token => token !== undefined))]
}

/** GGUF keeps numbers as float32; 0.000009999999747 was written as 0.00001. */
function decimal(value: number): number {
  return Number(value.toPrecision(7))
}
