/** The models of a run. Weights that are the same and stay so are in memory once. */
import { join } from 'node:path'
import type { TrainConfig } from '../../config/index.js'
import type { Model } from '../../engine/index.js'
import type { TrainingRun } from '../shared/run.js'
import { checkNaturalness, type Student } from '../shared/students.js'
import { loadModel, loadTrained, takeWeights } from '../shared/trained-model.js'

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
  const teacher = kept(await loadTrained(config.teacher, dtype, config, config.training.seed, run))
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
        ? kept(await loadModel(name, wanted, config, run))
        : wanted === 'auto' || wanted === teacher.dtype
          ? await initialTeacher()
          : kept(await loadModel(config.teacher.model, wanted, config, run))
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
    if (!teacher.lora) await takeWeights(teacher, folder, config.device)
    if (reference !== undefined && config.reference.kind === 'blended')
      await takeWeights(reference, join(folder, 'training', 'reference'), config.device)
  }
  return { teacher, students, reference }
}
