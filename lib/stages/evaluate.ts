/**
 * Models answer the questions of tasks, several times each; the answers are graded, counted and compared. What the lines
 * stand for is in `evaluate/`.
 */
import { type EvaluateConfigInput, evaluateKind, parseConfig } from '../config/index.js'
import { type AnsweringModel, answeringModel } from './evaluate/answering.js'
import type { EvaluateResult } from './evaluate/result.js'
import { type EvaluateOptions, EvaluationWork } from './evaluate/work.js'
import { wasAborted } from './shared/aborted.js'

export type { GradedQuestion, GradedSample } from './evaluate/output.js'
export type { Comparison, EvaluateResult, ModelResult } from './evaluate/result.js'
export {
  type Estimate,
  type McNemar,
  mcNemar,
  type PairedDifference,
  passAtK,
} from './evaluate/statistics.js'
export type { EvaluateEvent, EvaluateOptions } from './evaluate/work.js'

/**
 * Evaluates models on tasks.
 *
 * What is done is done: called again after it was stopped or killed, it goes on behind the last finished batch, and the
 * outputs come out as if it had never been interrupted, for all randomness is a function of `seed` and of a question's
 * place. Called again when all is done, it counts anew from the outputs (with another `passAt`, say), and loads nothing.
 *
 * @throws {ConfigurationError} the configuration is not one, or a model has no chat template where one is needed
 * @throws {DataError} a question cannot be read; it is named with file and line, before a model is loaded
 * @throws {ModelError} a model cannot be found or loaded
 * @throws {RunError} the output folder is taken, or cannot be written
 * @throws {ServerError} a server cannot be reached or refuses
 * @throws {EngineError} the engine failed; finished batches are kept
 */
export async function evaluate(
  input: EvaluateConfigInput,
  options: EvaluateOptions = {},
): Promise<EvaluateResult> {
  const config = parseConfig(evaluateKind, input)
  let work: EvaluationWork | undefined
  let model: (AnsweringModel & { index: number }) | undefined
  try {
    work = await EvaluationWork.open(config, options)
    const running = work
    while (!running.isComplete) {
      const batch = running.nextBatch()
      if (batch === undefined) break
      if (model?.index !== batch.model) {
        model?.dispose()
        model = undefined
        const loaded = await answeringModel(batch.model, running.files[batch.model], config, options.signal)
        model = Object.assign(loaded, { index: batch.model })
      }
      const total = batch.questions.length * config.sampling.samples
      let done = 0
      const onSample = () => running.progress(++done / total)
      const completions = await model.answer(batch.questions, running.tasks[batch.task]!, onSample)
      await running.finishBatch(batch, completions)
    }
    return await running.finish()
  } catch (error) {
    if (work !== undefined && wasAborted(error, options.signal)) return work.stopped()
    throw error
  } finally {
    model?.dispose()
    await work?.close()
  }
}
