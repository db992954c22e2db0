/** The models of a run. Weights that are the same and stay so are in memory once. */
import { join } from 'node:path'
import type { TrainConfig } from '../../config/index.js'
import { type LoadOptions, Model } from '../../engine/index.js'
import { type ModelFiles, resolveModel } from '../../models/index.js'
import { checkNaturalness, type Student } from '../shared/students.js'
import type { TrainingRun } from './run.js'

export interface Models {
  teacher: Model
  students: Student[]
  /** The policy that the teacher is tied to; undefined where nothing ties it. */
  reference: Model | undefined
}

type Dtype = Model['dtype']

/**
 * Loads the models as they were before the first step, then brings the teacher (and a reference that follows it) to
 * where the run goes on from.
 *
 * @param dtype of the teacher in the checkpoint that the run goes on from
 * @param keep is handed each model as soon as it is there, so that it is disposed of whatever comes
 * @throws {ModelError} a model cannot be found or loaded
 * @throws {ConfigurationError} a student cannot judge what the configuration wants it to
 */
export async function loadModels(
  config: TrainConfig,
  run: TrainingRun,
  dtype: Dtype | undefined,
  keep: (model: Model) => void,
): Promise<Models> {
  const kept = (model: Model) => {
    keep(model)
    return model
  }
  const load = async (name: string, wanted: Dtype | 'auto', options: LoadOptions = {}) => {
    const model = await Model.load(await fetchModel(name, run), {
      ...{ dtype: wanted, device: config.device, signal: run.signal },
      ...(config.threads > 0 ? { threads: config.threads } : {}),
      ...options,
    })
    return kept(model)
  }

  const teacher = await load(config.teacher.model, dtype ?? config.teacher.dtype, {
    trainable: true,
    ...adapterOf(config, run),
  })
  let initial: Model | undefined
  /**
   * The teacher before any training: one model for a frozen reference and for students that are to be it. With LoRA, it
   * is the teacher itself, whose adapters they leave out.
   */
  const initialTeacher = async () => {
    initial ??= teacher.lora ? teacher : kept(await teacher.clone())
    return initial
  }

  const students: Student[] = []
  for (const { model: name, dtype: wanted, weight } of config.students) {
    const model =
      name !== 'teacher'
        ? await load(name, wanted)
        : wanted === 'auto' || wanted === teacher.dtype
          ? await initialTeacher()
          : await load(config.teacher.model, wanted)
    const sharesTokenizer = model.tokenizer.fingerprint === teacher.tokenizer.fingerprint
    checkNaturalness({ name, sharesTokenizer }, config.teacher.model, config.reward)
    students.push({ name, model, weight, sharesTokenizer })
  }

  let reference: Model | undefined
  if (config.algorithm.beta > 0) {
    if (config.reference.kind === 'frozen') reference = await initialTeacher()
    if (config.reference.kind === 'blended') reference = kept(await teacher.clone({ adapter: false }))
  }

  if (run.resumedFrom !== undefined) {
    const { folder } = run.resumedFrom
    if (!teacher.lora) await takeWeights(teacher, folder, config)
    if (reference !== undefined && config.reference.kind === 'blended')
      await takeWeights(reference, join(folder, 'training', 'reference'), config)
  }
  return { teacher, students, reference }
}

/** The adapters of the teacher: new ones, or those of the checkpoint that the run goes on from. */
function adapterOf(
  { teacher: { lora }, training: { seed } }: TrainConfig,
  { resumedFrom }: TrainingRun,
): Pick<LoadOptions, 'lora' | 'adapter'> {
  if (lora === null) return {}
  if (resumedFrom !== undefined) return { adapter: adapterFolder(resumedFrom.folder) }
  return { lora: { ...lora, alpha: lora.alpha ?? undefined, seed } }
}

/** A checkpoint is a complete model, adapters merged; they themselves lie in it too, where PEFT loads them. */
export const adapterFolder = (checkpoint: string): string => join(checkpoint, 'adapter')

/**
 * The weights of a checkpoint into a model that is there. The model remains one of its original files: a checkpoint is
 * removed when newer ones follow, and with it the tokenizer that later checkpoints are to be given.
 */
async function takeWeights(model: Model, folder: string, { device }: TrainConfig): Promise<void> {
  const saved = await Model.load({ kind: 'folder', folder }, { dtype: model.dtype, device })
  try {
    await model.copyParametersFrom(saved)
  } finally {
    saved.dispose()
  }
}

async function fetchModel(name: string, run: TrainingRun): Promise<ModelFiles> {
  return resolveModel(name, {
    ...(run.signal ? { signal: run.signal } : {}),
    onProgress: ({ bytes, totalBytes = 0 }) => run.phase('load', run.step + 1, bytes, totalBytes),
  })
}
