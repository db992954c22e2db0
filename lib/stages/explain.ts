/**
 * A trained teacher explains a data set: several explanations of each question, judged by the teacher reward, the best
 * of them kept. What the lines stand for is in `explain/`.
 */
import { type ExplainConfigInput, explainKind, parseConfig } from '../config/index.js'
import { bestFirst, withoutDuplicates } from './explain/selection.js'
import { ExplainSession } from './explain/session.js'
import { type ExplainOptions, type ExplainResult, ExplainWork } from './explain/work.js'
import { wasAborted } from './shared/aborted.js'
import { scoreExplanations } from './shared/scoring.js'

export type { ExplainEvent, ExplainOptions, ExplainResult } from './explain/work.js'

/**
 * Writes explanations for every question and solution of a data source, in the order of the source.
 *
 * What is done is done: called again after it was stopped or killed, it goes on behind the last finished batch, and the
 * file comes out as if it had never been interrupted, for all randomness is a function of `seed` and of a question's
 * place. Called again when all is done, it returns at once. A question without an explanation (it is too long, or none
 * of its explanations was ended) is told of in a file of failures and stops nothing.
 *
 * @throws {ConfigurationError} the configuration is not one, or its models do not go together
 * @throws {DataError} a row cannot be read; it is named with file and line, before a model is loaded
 * @throws {ModelError} a model cannot be found or loaded
 * @throws {RunError} the output is taken, or cannot be written
 * @throws {ServerError} the server cannot be reached or refuses
 * @throws {EngineError} the engine failed; finished batches are kept
 */
export async function explain(
  input: ExplainConfigInput,
  options: ExplainOptions = {},
): Promise<ExplainResult> {
  const config = parseConfig(explainKind, input)
  let work: ExplainWork | undefined
  let session: ExplainSession | undefined
  try {
    work = await ExplainWork.open(config, options)
    if (work.isComplete) return work.result(true)
    const running = work
    session = await ExplainSession.start(config, running)
    const { judges } = session
    for await (const { sampled, failures } of session.sampledBatches()) {
      const unique = sampled.map(group => withoutDuplicates(group, judges.tokenizer))
      const rewards = await scoreExplanations(unique, judges, share => running.progress('score', share))
      await running.finishBatch(bestFirst(unique, rewards, failures, config))
    }
    await running.finish()
    return work.result(true)
  } catch (error) {
    if (work !== undefined && wasAborted(error, options.signal)) return work.result(false)
    throw error
  } finally {
    session?.dispose()
    await work?.close()
  }
}
