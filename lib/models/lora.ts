/** LoRA adapters (arXiv 2106.09685) as PEFT keeps them: a folder of adapter_config.json and adapter_model.safetensors. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ModelError } from '../errors.js'
import { writeWhole } from '../files.js'
import type { ModelConfiguration } from './configuration.js'
import { FieldReader, type Fields, readJsonFile, show } from './fields.js'
import { type LoraTarget, loraTargets } from './lora-targets.js'
import { expectedShapes, type WeightEntry } from './weight-table.js'
import { readSafetensorsFile } from './weights-safetensors.js'

export interface LoraConfig {
  /** Rows of A and columns of B, at least 1. */
  rank: number
  /** B A counts alpha / rank times. */
  alpha: number
  targets: readonly LoraTarget[]
  /** alpha / sqrt(rank) instead (rsLoRA, arXiv 2312.03732), so that a higher rank does not learn more slowly. */
  rankStabilised: boolean
}

/** What B A is multiplied by. */
export function loraScale({ rank, alpha, rankStabilised }: LoraConfig): number {
  return alpha / (rankStabilised ? Math.sqrt(rank) : rank)
}

export const adapterConfigName = 'adapter_config.json'
export const adapterWeightsName = 'adapter_model.safetensors'

/** What says that an adapter is more than B A beside the weights, and the values that say that it is not. */
const plainValues: Record<string, readonly unknown[]> = {
  peft_type: ['LORA'],
  use_dora: [false],
  bias: ['none'],
  lora_bias: [false],
  fan_in_fan_out: [false],
  // Some initialisations change the base weights too: what is saved is then an adapter of those.
  init_lora_weights: [true, false, 'gaussian', 'orthogonal', 'eva'],
}
const emptyFields = [
  ...['modules_to_save', 'rank_pattern', 'alpha_pattern', 'layer_replication', 'trainable_token_indices'],
  ...['target_parameters', 'alora_invocation_tokens', 'use_qalora', 'use_bdlora', 'arrow_config'],
  ...['kasa_config', 'velora_config', 'monteclora_config'],
]

/** @throws {ModelError} when it is no LoRA adapter, one of a kind that is not supported, damaged, or another model's */
export async function readAdapter(
  folder: string,
  base: ModelConfiguration,
): Promise<{ lora: LoraConfig; weights: WeightEntry[] }> {
  const file = join(folder, adapterConfigName)
  const fields = await readJsonFile(file)
  refuseOtherKinds(file, fields)
  const reader = new FieldReader(fields, file)
  const rank = reader.size('r')
  const { entries } = await readSafetensorsFile(join(folder, adapterWeightsName))
  const targets = targetsOf(folder, entries)
  const alpha = reader.positive('lora_alpha', 8)
  const lora = { rank, alpha, targets, rankStabilised: reader.flag('use_rslora', false) }
  checkWeights(folder, entries, lora, base)
  return { lora, weights: entries }
}

function refuseOtherKinds(file: string, fields: Fields): void {
  for (const [field, allowed] of Object.entries(plainValues)) {
    const value = fields[field]
    if (value === undefined || value === null ? field !== 'peft_type' : allowed.includes(value)) continue
    throw new ModelError(
      `${file}: ${field}: expected ${allowed.map(show).join(' or ')}, got ${show(value)}: this kind of adapter is not supported`,
    )
  }
  for (const field of emptyFields) {
    const value = fields[field]
    const empty = !value || (typeof value === 'object' && Object.keys(value).length === 0)
    if (!empty)
      throw new ModelError(
        `${file}: ${field} is ${show(value)}: adapters with it are not supported. Merge it into its base with PEFT.`,
      )
  }
}

const tensorName =
  /^base_model\.model\.model\.layers\.\d+\.(?:self_attn|mlp)\.(?<target>\w+)\.lora_[AB]\.weight$/

function targetsOf(folder: string, entries: readonly WeightEntry[]): LoraTarget[] {
  const found = new Set<string>()
  for (const { name } of entries) {
    const target = tensorName.exec(name)?.groups?.['target']
    if (target === undefined || !(loraTargets as readonly string[]).includes(target))
      throw new ModelError(
        `${join(folder, adapterWeightsName)}: ${name} is not supported: expected lora_A and lora_B of ${loraTargets.join(', ')}`,
      )
    found.add(target)
  }
  if (found.size === 0) throw new ModelError(`${join(folder, adapterWeightsName)} holds no tensors`)
  return loraTargets.filter(target => found.has(target))
}

function checkWeights(
  folder: string,
  entries: readonly WeightEntry[],
  lora: LoraConfig,
  base: ModelConfiguration,
): void {
  const file = join(folder, adapterWeightsName)
  const other = 'the adapter was made for another model'
  const shapes = adapterShapes(lora, base)
  const given = new Map(entries.map(entry => [entry.name, entry.shape]))
  for (const name of given.keys())
    if (!shapes.has(name))
      throw new ModelError(`${file}: ${name}: the model has ${base.layers} layers: ${other}`)
  for (const [name, shape] of shapes) {
    const found = given.get(name)
    if (found === undefined)
      throw new ModelError(`${file}: ${name} is missing: ${other}, or not all layers are adapted alike`)
    if (found.length !== shape.length || found.some((size, i) => size !== shape[i]))
      throw new ModelError(
        `${file}: ${name} has shape [${found}], but by rank ${lora.rank} and the model it is [${shape}]: ${other}`,
      )
  }
}

/** Name to shape of every tensor of an adapter, as PEFT names them. */
export function adapterShapes(
  { rank, targets }: Pick<LoraConfig, 'rank' | 'targets'>,
  base: Parameters<typeof expectedShapes>[0],
): Map<string, number[]> {
  const shapes = new Map<string, number[]>()
  for (const [name, shape] of expectedShapes(base)) {
    const target = /\.(\w+_proj)\.weight$/.exec(name)?.[1]
    if (!(targets as readonly (string | undefined)[]).includes(target)) continue
    const stem = `base_model.model.${name.slice(0, -'.weight'.length)}`
    shapes.set(`${stem}.lora_A.weight`, [rank, shape[1]!])
    shapes.set(`${stem}.lora_B.weight`, [shape[0]!, rank])
  }
  return shapes
}

/** @param base how PEFT is to find the model that the adapter belongs to: a folder or a hub id */
export async function writeAdapterConfig(folder: string, lora: LoraConfig, base: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: lora.rank,
    lora_alpha: lora.alpha,
    use_rslora: lora.rankStabilised,
    target_modules: lora.targets,
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    modules_to_save: null,
    inference_mode: true,
  }
  await writeWhole(join(folder, adapterConfigName), `${JSON.stringify(config, undefined, 2)}\n`)
}
