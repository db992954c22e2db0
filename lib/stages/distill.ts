/**
 * Supervised fine-tuning of a student on a teacher's explanations (arXiv 2506.08388): asked a question, it
 * learns to write the explanation as its own thought, and the solution after it. The loss is on both.
 */
import { type DistillConfig, type DistillConfigInput, distillKind, parseConfig } from '../config/index.js'
import { distillExample } from '../data/index.js'
import { finetune, type SftResult, type SftStage } from './sft/finetune.js'
import type { TrainOptions } from './shared/run.js'

const stage: SftStage<DistillConfig> = {
  kind: distillKind,
  makeExample: distillExample,
  settings: ({ student, ...rest }) => ({ model: student, ...rest }),
}

/**
 * Fine-tunes a student on questions, explanations and solutions.
 *
 * The order of rows is a function of `training.seed` and of a row's place, so a run that was stopped and is resumed gives
 * the same as one that was not, bit for bit on a CPU with the same number of threads.
 *
 * @throws {ConfigurationError} the configuration is not one
 * @throws {DataError} a row cannot be read, or is too long for the model
 * @throws {ModelError} the model cannot be found or loaded
 * @throws {RunError} the run folder is taken, damaged or cannot be written
 * @throws {EngineError} the engine failed, for instance for want of memory; the finished steps are saved
 */
export async function distill(input: DistillConfigInput, options: TrainOptions = {}): Promise<SftResult> {
  return finetune(stage, parseConfig(distillKind, input), options)
}
