/** The configuration from a Hugging Face folder's config.json and generation_config.json. */
import { join } from 'node:path'
import { ModelError } from '../errors.js'
import type { ModelConfiguration } from './configuration.js'
import { FieldReader, isFields, readJsonFile, readJsonFileIfPresent, show } from './fields.js'
import { inverseFrequencies, mostHeadSize, type Rotary } from './rotary.js'

const architectures: Record<string, ModelConfiguration['architecture']> = {
  LlamaForCausalLM: 'llama',
  Qwen2ForCausalLM: 'qwen2',
  Qwen3ForCausalLM: 'qwen3',
}

export async function configurationFromFolder(folder: string): Promise<ModelConfiguration> {
  const file = join(folder, 'config.json')
  const config = new FieldReader(await readJsonFile(file), file)
  const generationFile = join(folder, 'generation_config.json')
  const generation = new FieldReader((await readJsonFileIfPresent(generationFile)) ?? {}, generationFile)

  const architecture = readArchitecture(config)
  refuseUnsupported(config, architecture)
  const hiddenSize = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const keyValueHeads = config.size('num_key_value_heads', architecture === 'llama' ? heads : undefined)
  if (heads % keyValueHeads !== 0)
    config.fail('num_key_value_heads', `a divisor of num_attention_heads (${heads})`)
  const headSize = readHeadSize(config, architecture, hiddenSize, heads)
  return {
    architecture,
    vocabularySize: config.size('vocab_size'),
    hiddenSize,
    intermediateSize: config.size('intermediate_size'),
    layers: config.size('num_hidden_layers'),
    heads,
    keyValueHeads,
    headSize,
    normEpsilon: config.positive('rms_norm_eps', 1e-6),
    rotaryInverseFrequencies: inverseFrequencies(readRotary(config), headSize),
    queryKeyValueBias: architecture === 'qwen2',
    queryKeyNorm: architecture === 'qwen3',
    tiedEmbeddings: config.flag('tie_word_embeddings', false),
    maxPositions: config.size('max_position_embeddings'),
    beginningOfSequenceToken: config.token('bos_token_id') ?? generation.token('bos_token_id'),
    endOfSequenceTokens: [
      ...new Set([...config.tokens('eos_token_id'), ...generation.tokens('eos_token_id')]),
    ],
  }
}

function readArchitecture({ fields, place }: FieldReader): ModelConfiguration['architecture'] {
  const names = fields.architectures
  const name = Array.isArray(names) ? names[0] : undefined
  const architecture = Object.hasOwn(architectures, String(name)) ? architectures[String(name)] : undefined
  if (architecture) return architecture
  throw new ModelError(
    `${place}: architectures: ${show(names)} is not supported; expected one of ${Object.keys(architectures).join(', ')}`,
  )
}

/** What would silently change the results if it were overlooked. */
function refuseUnsupported(config: FieldReader, architecture: string): void {
  const { fields, place } = config
  const refuse = (field: string, what: string): never => {
    throw new ModelError(`${place}: ${field} is ${show(fields[field])}: ${what}`)
  }
  if (config.text('hidden_act', 'silu') !== 'silu') refuse('hidden_act', 'only silu is supported')
  if (fields.attention_bias === true && architecture !== 'qwen2')
    refuse('attention_bias', 'attention projections with a bias are supported only for Qwen2')
  if (fields.mlp_bias === true) refuse('mlp_bias', 'MLP layers with a bias are not supported')
  if ((fields.partial_rotary_factor ?? 1) !== 1)
    refuse('partial_rotary_factor', 'rotary embedding of a part of each head is not supported')
  if ((fields.pretraining_tp ?? 1) !== 1) refuse('pretraining_tp', 'only 1 is supported')
  if (fields.quantization_config !== undefined && fields.quantization_config !== null)
    refuse(
      'quantization_config',
      'quantised safetensors are not supported; take the original model, or a GGUF',
    )
  refuseSlidingWindow(config, refuse)
}

function refuseSlidingWindow({ fields }: FieldReader, refuse: (field: string, what: string) => never): void {
  const advice = 'sliding-window attention is not supported'
  if (Array.isArray(fields.layer_types)) {
    if (fields.layer_types.some(type => type !== 'full_attention')) refuse('layer_types', advice)
    return
  }
  // Qwen's own rule: the window holds from layer max_window_layers on.
  const firstLayer = typeof fields.max_window_layers === 'number' ? fields.max_window_layers : 0
  if (fields.use_sliding_window === true && firstLayer < Number(fields.num_hidden_layers))
    refuse('use_sliding_window', advice)
}

function readHeadSize(config: FieldReader, architecture: string, hiddenSize: number, heads: number): number {
  // Qwen3 fixes 128 where nothing is said; the others divide the hidden size.
  const headSize = config.size('head_dim', architecture === 'qwen3' ? 128 : hiddenSize / heads)
  if (headSize % 2 !== 0 || headSize > mostHeadSize)
    config.fail('head_dim', `an even number of at most ${mostHeadSize}`)
  return headSize
}

/** Both forms: `rope_theta` with `rope_scaling`, and `rope_parameters`, which transformers 5 writes. */
function readRotary(config: FieldReader): Rotary {
  const { fields, place } = config
  const name = isPresent(fields.rope_parameters) ? 'rope_parameters' : 'rope_scaling'
  const nested = isPresent(fields[name]) ? fields[name] : {}
  if (!isFields(nested)) return config.fail(name, 'an object')
  const rope = new FieldReader(nested, `${place}: ${name}`)
  const theta = isPresent(nested.rope_theta)
    ? rope.positive('rope_theta')
    : config.positive('rope_theta', 10000)
  // `type` is what rope_type was called before.
  const type = nested.rope_type ?? nested.type ?? 'default'
  if (isPresent(nested.partial_rotary_factor) && nested.partial_rotary_factor !== 1)
    rope.fail('partial_rotary_factor', '1: rotary embedding of a part of each head is not supported')
  switch (type) {
    case 'default':
      return { type: 'default', theta }
    case 'linear':
      return { type: 'linear', theta, factor: rope.positive('factor') }
    case 'llama3':
      return {
        type: 'llama3',
        theta,
        factor: rope.positive('factor'),
        lowFrequencyFactor: rope.positive('low_freq_factor'),
        highFrequencyFactor: rope.positive('high_freq_factor'),
        originalMaxPositions: rope.size('original_max_position_embeddings'),
      }
    default:
      throw new ModelError(
        `${rope.place}: rope_type: ${show(type)} is not supported; expected default, linear or llama3`,
      )
  }
}

const isPresent = (value: unknown) => value !== undefined && value !== null
