/** The model that a run trains: loaded with its adapters, saved, and brought to where a run goes on from. */
import { join } from 'node:path'
import type { TrainConfig } from '../../config/index.js'
import { type LoadOptions, Model } from '../../engine/index.js'
import { type ModelFiles, resolveModel } from '../../models/index.js'
import type { TrainingRun } from './run.js'

type TrainedModel = TrainConfig['teacher']
type Device = TrainConfig['device']
type Dtype = Model['dtype']

export interface Machine {
  device: Device
  /** 0 is all. */
  threads: number
}

/**
 * @param dtype `auto` is what suits the machine
 * @throws {ModelError} the model cannot be found or loaded
 */
export async function loadModel(
  name: string,
  dtype: Dtype | 'auto',
  { device, threads }: Machine,
  run: TrainingRun,
  options: LoadOptions = {},
): Promise<Model> {
  return Model.load(await fetchModel(name, run), {
    ...{ dtype, device, signal: run.signal },
    ...(threads > 0 ? { threads } : {}),
    ...options,
  })
}

async function fetchModel(name: string, run: TrainingRun): Promise<ModelFiles> {
  return resolveModel(name, {
    ...(run.signal ? { signal: run.signal } : {}),
    onProgress: ({ bytes, totalBytes = 0 }) => run.phase('load', run.step + 1, bytes, totalBytes),
  })
}

/**
 * Loads a model to be trained: as it was before the first step, but with the adapters of the checkpoint that the run
 * goes on from. Where there are none, {@link takeWeights} is to follow.
 * @param dtype of the model in that checkpoint
 * @param seed of new adapters
 */
export async function loadTrained(
  { model, lora, dtype: wanted }: TrainedModel,
  dtype: Dtype | undefined,
  machine: Machine,
  seed: number,
  run: TrainingRun,
): Promise<Model> {
  const adapter = (): Pick<LoadOptions, 'lora' | 'adapter'> => {
    if (lora === null) return {}
    if (run.resumedFrom !== undefined) return { adapter: adapterFolder(run.resumedFrom.folder) }
    return { lora: { ...lora, alpha: lora.alpha ?? undefined, seed } }
  }
  return loadModel(model, dtype ?? wanted, machine, run, { trainable: true, ...adapter() })
}

/** A checkpoint is a complete model, adapters merged; they themselves lie in it too, where PEFT loads them. */
const adapterFolder = (checkpoint: string): string => join(checkpoint, 'adapter')

/** @param name of the model before training, under which PEFT is to find it */
export async function saveTrained(model: Model, folder: string, name: string): Promise<void> {
  await model.save(folder)
  if (model.lora) await model.saveAdapter(adapterFolder(folder), name)
}

export const optimizerFile = (checkpoint: string): string =>
  join(checkpoint, 'training', 'optimizer.safetensors')

/**
 * The weights of a checkpoint into a model that is there. The model remains one of its original files: a checkpoint is
 * removed when newer ones follow, and with it the tokenizer that later checkpoints are to be given.
 */
export async function takeWeights(model: Model, folder: string, device: Device): Promise<void> {
  const saved = await Model.load({ kind: 'folder', folder }, { dtype: model.dtype, device })
  try {
    await model.copyParametersFrom(saved)
  } finally {
    saved.dispose()
  }
}
