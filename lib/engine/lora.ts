/** The LoRA adapters that a model is loaded with: new ones, or those of a folder. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError } from '../errors.js'
import { flushFolder } from '../files.js'
import {
  adapterWeightsName,
  type LoraConfig,
  loraTargets,
  type ModelConfiguration,
  placeOf,
  readAdapter,
  type WeightEntry,
  writeAdapterConfig,
} from '../models/index.js'
import { callAddonNow } from './addon.js'
import type { Model } from './model.js'
import { writeSafetensorsFile } from './save.js'

export interface LoraOptions {
  /** At least 1. */
  rank: number
  /** B A counts alpha / rank times. Default: twice the rank. */
  alpha?: number | undefined
  /** Default: all linear projections of the blocks. */
  targets?: LoraConfig['targets']
  /** Count B A alpha / sqrt(rank) times (rsLoRA, arXiv 2312.03732). Default false. */
  rankStabilised?: boolean
  /** Decides A, which is drawn from ±1 / sqrt(inputs) as PEFT's is; B is 0. Default 0. */
  seed?: number
}

export interface ChosenAdapter {
  lora: LoraConfig
  seed: number
  /** Of the folder; none for new adapters. */
  weights: WeightEntry[]
}

/**
 * @throws EngineError ERR_ARGUMENT for options out of range, or new adapters beside those of a folder
 * @throws ModelError for a folder that holds no adapter of this model
 */
export async function chooseAdapter(
  options: LoraOptions | undefined,
  folder: string | undefined,
  configuration: ModelConfiguration,
): Promise<ChosenAdapter | undefined> {
  if (options !== undefined && folder !== undefined)
    throw new EngineError(
      'ERR_ARGUMENT',
      'Expected `lora` or `adapter`, got both: an adapter folder has its own rank.',
    )
  if (folder !== undefined) return { seed: 0, ...(await readAdapter(folder, configuration)) }
  if (options === undefined) return undefined
  const { rank, alpha = 2 * rank, targets = loraTargets, rankStabilised = false, seed = 0 } = options
  if (!Number.isSafeInteger(rank) || rank < 1)
    throw new EngineError('ERR_ARGUMENT', `Expected an integer of at least 1 for lora.rank, got ${rank}.`)
  if (!(alpha > 0 && Number.isFinite(alpha)))
    throw new EngineError('ERR_ARGUMENT', `Expected a number above 0 for lora.alpha, got ${alpha}.`)
  return { lora: { rank, alpha, targets, rankStabilised }, seed, weights: [] }
}

/** Writes a folder that PEFT loads. Each file appears whole or not at all. */
export async function saveAdapter(model: Model, folder: string, base?: string): Promise<void> {
  if (model.lora === undefined)
    throw new EngineError(
      'ERR_ARGUMENT',
      'The model has no LoRA adapters to save: load it with { lora } or { adapter }.',
    )
  const tensors = callAddonNow(() => model.native.adapterTensors())
  await mkdir(folder, { recursive: true })
  await writeSafetensorsFile(model.native, join(folder, adapterWeightsName), tensors, { format: 'pt' })
  await writeAdapterConfig(folder, model.lora, base ?? placeOf(model.files))
  await flushFolder(folder)
}
