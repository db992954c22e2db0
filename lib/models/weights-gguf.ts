/** The weight table of a GGUF file, under Hugging Face's names. */
import { ModelError } from '../errors.js'
import type { ModelConfiguration } from './configuration.js'
import { type GgufTensor, readGgufHeader } from './gguf-file.js'
import type { WeightEntry, WeightType } from './weight-table.js'

/** [values, bytes] of a block. */
const blocks: Record<WeightType, [number, number]> = {
  F32: [1, 4],
  F16: [1, 2],
  BF16: [1, 2],
  Q8_0: [32, 34],
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
}

const modelNames: Record<string, string> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
}

const layerNames: Record<string, string> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

/** Part of the configuration, not of the weights. */
const rotaryDivisors = 'rope_freqs.weight'

export async function ggufWeights(file: string, configuration: ModelConfiguration): Promise<WeightEntry[]> {
  const { tensors, size } = await readGgufHeader(file)
  return tensors
    .filter(({ name }) => name !== rotaryDivisors)
    .map(tensor => {
      const name = huggingFaceName(tensor.name)
      const type = supportedType(file, tensor)
      const byteLength = bytesOf(file, tensor, type)
      if (tensor.offset + byteLength > size)
        throw new ModelError(
          `${file} is truncated: the tensor ${tensor.name} takes bytes ${tensor.offset} to ${tensor.offset + byteLength}, ` +
            `but the file has ${size} bytes. Download it again.`,
        )
      const heads = interleavedHeads(name, configuration)
      const entry: WeightEntry = { name, shape: tensor.shape, type, file, offset: tensor.offset, byteLength }
      return heads === undefined ? entry : { ...entry, rotaryInterleavedHeads: heads }
    })
}

/** Names that are not known stay as they are, and are reported as unexpected. */
function huggingFaceName(name: string): string {
  const [, layer, part, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? []
  const known = part && (layer === undefined ? modelNames[part] : layerNames[part])
  if (!known) return name
  return layer === undefined ? `${known}.${kind}` : `model.layers.${layer}.${known}.${kind}`
}

function supportedType(file: string, { name, type }: GgufTensor): WeightType {
  if (Object.hasOwn(blocks, type)) return type as WeightType
  throw new ModelError(
    `${file}: the tensor ${name} has the type ${type}, which is not supported; expected one of ` +
      `${Object.keys(blocks).join(', ')}. Take another quantisation of this model, such as Q8_0 or Q4_K_M.`,
  )
}

function bytesOf(file: string, { name, shape }: GgufTensor, type: WeightType): number {
  const [values, bytes] = blocks[type]
  const rowSize = shape.at(-1) ?? 1
  if (rowSize % values !== 0)
    throw new ModelError(
      `${file}: ${name}: rows of ${rowSize} values are not whole ${type} blocks of ${values}`,
    )
  const count = shape.reduce((product, size) => product * size, 1)
  return (count / values) * bytes
}

/** llama.cpp's converter reorders query and key rows of Llama models, and of no others here. */
function interleavedHeads(name: string, configuration: ModelConfiguration): number | undefined {
  if (configuration.architecture !== 'llama') return undefined
  if (name.endsWith('.q_proj.weight')) return configuration.heads
  if (name.endsWith('.k_proj.weight')) return configuration.keyValueHeads
  return undefined
}
