/** Model files for tests, made on the spot: small, and wrong where a test wants them wrong. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { packageRoot } from '../../lib/packageRoot.js'

export function fixture(...path: string[]): string {
  return join(packageRoot(), 'test', 'fixtures', ...path)
}

/** A new folder that goes when the test ends. */
export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rlt-models-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Sets (or, with undefined, removes) environment variables until the test ends. Only for serial tests. */
export function setEnvironment(t: ExecutionContext, variables: Record<string, string | undefined>): void {
  const assign = (values: Record<string, string | undefined>) => {
    for (const [name, value] of Object.entries(values))
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
  }
  const before = Object.fromEntries(Object.keys(variables).map(name => [name, process.env[name]]))
  assign(variables)
  t.teardown(() => assign(before))
}

/** A tiny Llama: 2 layers, hidden 8, 2 heads of 4, 1 key-value head, vocabulary 16. */
export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 16,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
}

/** Shapes of the tiny Llama's weights by name. */
export function tinyShapes(): Record<string, number[]> {
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [16, 8], 'model.norm.weight': [8] }
  for (const layer of [0, 1]) {
    const name = `model.layers.${layer}.`
    Object.assign(shapes, {
      [`${name}input_layernorm.weight`]: [8],
      [`${name}post_attention_layernorm.weight`]: [8],
      [`${name}self_attn.q_proj.weight`]: [8, 8],
      [`${name}self_attn.k_proj.weight`]: [4, 8],
      [`${name}self_attn.v_proj.weight`]: [4, 8],
      [`${name}self_attn.o_proj.weight`]: [8, 8],
      [`${name}mlp.gate_proj.weight`]: [12, 8],
      [`${name}mlp.up_proj.weight`]: [12, 8],
      [`${name}mlp.down_proj.weight`]: [8, 12],
    })
  }
  return shapes
}

export interface StoredTensor {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

/** The header's table for float32 tensors that lie one after another. */
export function tableOf(shapes: Record<string, number[]>): Record<string, StoredTensor> {
  let end = 0
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const start = end
      end += shape.reduce((product, size) => product * size, 4)
      return [name, { dtype: 'F32', shape, data_offsets: [start, end] }]
    }),
  )
}

/** A safetensors file with this header, whatever it says, and zeros. `dataBytes` defaults to what the table needs. */
export async function writeSafetensors(
  file: string,
  table: Record<string, unknown>,
  dataBytes = Math.max(
    0,
    ...Object.values(table).map(entry => (entry as StoredTensor).data_offsets?.[1] ?? 0),
  ),
): Promise<void> {
  const json = Buffer.from(JSON.stringify(table))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  await writeFile(file, Buffer.concat([length, json, Buffer.alloc(dataBytes)]))
}

/** A complete tiny Llama folder without a tokenizer; `config` overrides fields. */
export async function writeTinyFolder(folder: string, config: Record<string, unknown> = {}): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...tinyConfig, ...config }))
  await writeSafetensors(join(folder, 'model.safetensors'), tableOf(tinyShapes()))
}
