/**
 * A random Llama of two layers whose tokens are single characters, so that it trains in milliseconds, texts have one
 * spelling in tokens, and about every fiftieth sampled token ends the turn.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { safetensorsHeader } from '../../lib/models/index.js'

const hiddenSize = 32
const intermediateSize = 48
const heads = 2
const keyValueHeads = 1
const headSize = 16
const layers = 2

const specials = ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '</explanation>']
/** As byte-level BPE writes them: Ġ is a space, Ċ a line feed. */
const characters = [...'abcdefghijklmnopqrstuvwxyz0123456789.:?+=Ġ', 'Ċ']

const chatTemplate =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

export interface TinyModelOptions {
  seed?: number
  /** Another order of the vocabulary: another tokenizer. */
  reversed?: boolean
  maxPositions?: number
}

/** Writes the model's folder and returns it. */
export async function writeTinyModel(
  folder: string,
  { seed = 1, reversed = false, maxPositions = 512 }: TinyModelOptions = {},
): Promise<string> {
  await mkdir(folder, { recursive: true })
  const write = (name: string, value: unknown) => writeFile(join(folder, name), JSON.stringify(value))
  const tokens = [...specials, ...(reversed ? characters.toReversed() : characters)]
  const endOfTurn = tokens.indexOf('<|im_end|>')
  await write('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: tokens.length,
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    head_dim: headSize,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    max_position_embeddings: maxPositions,
    tie_word_embeddings: false,
    bos_token_id: endOfTurn,
    eos_token_id: endOfTurn,
    torch_dtype: 'float32',
  })
  await write('tokenizer.json', tokenizerJson(tokens))
  await write('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<|im_start|>',
    eos_token: '<|im_end|>',
    chat_template: chatTemplate,
  })
  await writeFile(join(folder, 'model.safetensors'), weights(tokens.length, seed))
  return folder
}

function tokenizerJson(tokens: readonly string[]) {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      ...{ dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false },
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  }
}

function weights(vocabulary: number, seed: number): Uint8Array {
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [vocabulary, hiddenSize]],
    ...Array.from({ length: layers }, (_, i): [string, number[]][] => [
      [`model.layers.${i}.input_layernorm.weight`, [hiddenSize]],
      [`model.layers.${i}.self_attn.q_proj.weight`, [heads * headSize, hiddenSize]],
      [`model.layers.${i}.self_attn.k_proj.weight`, [keyValueHeads * headSize, hiddenSize]],
      [`model.layers.${i}.self_attn.v_proj.weight`, [keyValueHeads * headSize, hiddenSize]],
      [`model.layers.${i}.self_attn.o_proj.weight`, [hiddenSize, heads * headSize]],
      [`model.layers.${i}.post_attention_layernorm.weight`, [hiddenSize]],
      [`model.layers.${i}.mlp.gate_proj.weight`, [intermediateSize, hiddenSize]],
      [`model.layers.${i}.mlp.up_proj.weight`, [intermediateSize, hiddenSize]],
      [`model.layers.${i}.mlp.down_proj.weight`, [hiddenSize, intermediateSize]],
    ]).flat(),
    ['model.norm.weight', [hiddenSize]],
    ['lm_head.weight', [vocabulary, hiddenSize]],
  ]
  const { header, byteLength } = safetensorsHeader(
    shapes.map(([name, shape]) => ({ name, shape, dtype: 'F32' as const })),
  )
  const file = new Uint8Array(byteLength)
  file.set(header)
  const random = normal(seed)
  const values = shapes.flatMap(([name, shape]) =>
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
      name.includes('norm') ? 1 + 0.1 * random() : 0.12 * random(),
    ),
  )
  file.set(new Uint8Array(Float32Array.from(values).buffer), header.length)
  return file
}

/** Normally distributed numbers (Box and Muller) from a small generator (mulberry32). */
function normal(seed: number): () => number {
  let state = seed
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}
