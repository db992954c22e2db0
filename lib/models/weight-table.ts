/** Where each weight of a model lies in its files, checked against what its configuration calls for. */
import { ModelError } from '../errors.js'
import { type ModelConfiguration, readConfiguration } from './configuration.js'
import { type ModelFiles, placeOf } from './source.js'
import { refuseOtherHead } from './tied-head.js'
import { ggufWeights } from './weights-gguf.js'
import { safetensorsWeights } from './weights-safetensors.js'

export type WeightType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1' | 'Q4_K' | 'Q5_K' | 'Q6_K'

export interface WeightEntry {
  /** Hugging Face's name, e.g. model.layers.0.self_attn.q_proj.weight */
  name: string
  /** As in Hugging Face: [out, in] or [size]. */
  shape: number[]
  type: WeightType
  file: string
  /** Of the first byte, from the start of the file. */
  offset: number
  byteLength: number
  /** GGUF files of Llama models keep query and key rows in interleaved rotary order: the number of heads to undo it with. */
  rotaryInterleavedHeads?: number
}

/**
 * Reads headers only (and an output projection that is to be the embedding, if the file holds one). The entries come
 * in the model's own order: embedding, layers, norm, output projection (absent when tied).
 * @throws {ModelError} for a truncated or damaged file, an unknown type, a missing or unexpected tensor, a wrong shape
 */
export async function readWeightTable(files: ModelFiles): Promise<WeightEntry[]> {
  const configuration = await readConfiguration(files)
  const found =
    files.kind === 'gguf'
      ? await ggufWeights(files.file, configuration)
      : await safetensorsWeights(files.folder)
  // A damaged count of millions is named here, rather than made into a list that fills the memory.
  if (configuration.layers > found.length)
    throw new ModelError(
      `${placeOf(files)}: the configuration calls for ${configuration.layers} layers, but there are only ` +
        `${found.length} tensors: the model is not complete, or its header is damaged. Download it again.`,
    )
  const weights = inModelOrder(found, expectedShapes(configuration), configuration, files)
  const head = found.find(({ name }) => name === 'lm_head.weight')
  if (head && configuration.tiedEmbeddings) await refuseOtherHead(weights[0]!, head)
  return weights
}

/** What the shapes of a model's weights follow from. */
export type ModelShape = Pick<
  ModelConfiguration,
  | 'vocabularySize'
  | 'hiddenSize'
  | 'intermediateSize'
  | 'layers'
  | 'heads'
  | 'keyValueHeads'
  | 'headSize'
  | 'queryKeyValueBias'
  | 'queryKeyNorm'
  | 'tiedEmbeddings'
>

/** Name to shape of every weight, in the order of a forward pass. */
export function expectedShapes(configuration: ModelShape): Map<string, number[]> {
  const { vocabularySize, hiddenSize, intermediateSize, headSize } = configuration
  const queries = configuration.heads * headSize
  const keys = configuration.keyValueHeads * headSize
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [vocabularySize, hiddenSize]]])
  for (let layer = 0; layer < configuration.layers; layer++) {
    const add = (name: string, ...shape: number[]) => shapes.set(`model.layers.${layer}.${name}`, shape)
    add('input_layernorm.weight', hiddenSize)
    add('self_attn.q_proj.weight', queries, hiddenSize)
    add('self_attn.k_proj.weight', keys, hiddenSize)
    add('self_attn.v_proj.weight', keys, hiddenSize)
    if (configuration.queryKeyValueBias) {
      add('self_attn.q_proj.bias', queries)
      add('self_attn.k_proj.bias', keys)
      add('self_attn.v_proj.bias', keys)
    }
    if (configuration.queryKeyNorm) {
      add('self_attn.q_norm.weight', headSize)
      add('self_attn.k_norm.weight', headSize)
    }
    add('self_attn.o_proj.weight', hiddenSize, queries)
    add('post_attention_layernorm.weight', hiddenSize)
    add('mlp.gate_proj.weight', intermediateSize, hiddenSize)
    add('mlp.up_proj.weight', intermediateSize, hiddenSize)
    add('mlp.down_proj.weight', hiddenSize, intermediateSize)
  }
  shapes.set('model.norm.weight', [hiddenSize])
  if (!configuration.tiedEmbeddings) shapes.set('lm_head.weight', [vocabularySize, hiddenSize])
  return shapes
}

function inModelOrder(
  found: WeightEntry[],
  expected: Map<string, number[]>,
  { tiedEmbeddings }: ModelConfiguration,
  files: ModelFiles,
): WeightEntry[] {
  const place = placeOf(files)
  const byName = new Map(found.map(entry => [entry.name, entry]))
  const unexpected = [...byName.keys()].filter(
    name => !expected.has(name) && !isRedundant(name, tiedEmbeddings),
  )
  if (unexpected.length > 0)
    throw new ModelError(
      `${place}: ${several(unexpected)} in the file, but the configuration has no such ${plural(unexpected, 'weight')}: ` +
        'the configuration belongs to another model, or this kind of model is not supported',
    )
  const missing = [...expected.keys()].filter(name => !byName.has(name))
  if (missing.length > 0)
    throw new ModelError(
      `${place}: ${several(missing)} missing: the model is not complete. Download it again.`,
    )
  return [...expected].map(([name, shape]) => {
    const entry = byName.get(name)!
    if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i]))
      throw new ModelError(
        `${entry.file}: ${name} has shape [${entry.shape}], but by the configuration it is [${shape}]`,
      )
    return entry
  })
}

/** Saved by some models though they are computed: rotary tables, and the output projection that is the embedding. */
function isRedundant(name: string, tiedEmbeddings: boolean): boolean {
  return name.endsWith('.rotary_emb.inv_freq') || (tiedEmbeddings && name === 'lm_head.weight')
}

function several(names: string[]): string {
  const listed = names.slice(0, 5).join(', ')
  const more = names.length > 5 ? ` and ${names.length - 5} more` : ''
  return `${listed}${more} ${names.length === 1 ? 'is' : 'are'}`
}

const plural = (list: unknown[], noun: string) => (list.length === 1 ? noun : `${noun}s`)
