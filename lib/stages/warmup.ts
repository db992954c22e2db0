/**
 * Supervised fine-tuning of a teacher on reasoning traces in its own format, before reinforcement learning (arXiv
 * 2506.08388): shown a question and its solution, it learns to write the explanation. The loss is on what
 * comes after the explanation's opening tag.
 */
import { parseConfig, type WarmupConfig, type WarmupConfigInput, warmupKind } from '../config/index.js'
import { warmupExample } from '../data/index.js'
import { finetune, type SftResult, type SftStage } from './sft/finetune.js'
import type { TrainOptions } from './shared/run.js'

const stage: SftStage<WarmupConfig> = {
  kind: warmupKind,
  makeExample: warmupExample,
  settings: ({ teacher, ...rest }) => ({ model: teacher, ...rest }),
}

/**
 * Fine-tunes a teacher on the explanations of existing reasoning traces.
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
export async function warmup(input: WarmupConfigInput, options: TrainOptions = {}): Promise<SftResult> {
  return finetune(stage, parseConfig(warmupKind, input), options)
}
