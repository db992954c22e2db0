/**
 * Reinforcement learning of a teacher (arXiv 2506.08388, by GRPO, arXiv 2402.03300): the loop of the paper.
 * What each line of it stands for is in `train/`.
 */
import { parseConfig, type TrainConfigInput, trainKind } from '../config/index.js'
import { learningRateAt } from './shared/learningRate.js'
import { TrainingRun, type TrainOptions, type TrainResult } from './shared/run.js'
import { estimateAdvantages } from './train/advantages.js'
import { sampleAndScore } from './train/dynamicSampling.js'
import { completionRows, metricsRow } from './train/metrics.js'
import { Session } from './train/session.js'
import { Stopwatch } from './train/stopwatch.js'
import { updateTeacher } from './train/update.js'

export type { TrainOptions, TrainResult } from './shared/run.js'

/**
 * Trains a teacher.
 *
 * All randomness is a function of `training.seed` and of the place where it is needed, so a run that was stopped and
 * is resumed gives the same as one that was not, bit for bit on a CPU with the same number of threads.
 *
 * @throws {ConfigurationError} the configuration is not one, or its models do not go together
 * @throws {DataError} a row cannot be read, or is too long for a model
 * @throws {ModelError} a model cannot be found or loaded
 * @throws {RunError} the run folder is taken, damaged or cannot be written
 * @throws {EngineError} the engine failed, for instance for want of memory; the finished steps are saved
 */
export async function train(input: TrainConfigInput, options: TrainOptions = {}): Promise<TrainResult> {
  const config = parseConfig(trainKind, input)
  const run = await TrainingRun.open(trainKind, config, options)
  let session: Session | undefined
  try {
    session = await Session.start(config, run)
    await trainSteps(session)
    return run.result(true)
  } catch (error) {
    await session?.saveUnsavedSteps(error)
    if (run.wasAborted(error)) return run.result(false)
    throw error
  } finally {
    session?.dispose()
    await run.close()
  }
}

async function trainSteps(session: Session): Promise<void> {
  const { config, run, teacher, reference, evaluation } = session
  await evaluation.measureIfDue(run.step)
  await session.server?.begin(teacher)
  while (run.step < config.training.steps) {
    const step = run.step + 1
    const learningRate = learningRateAt(step, { ...config.optimizer, steps: config.training.steps })
    const clock = new Stopwatch()

    const sampled = await sampleAndScore(session, step, clock)
    const { groups, rewards } = sampled
    const referenceLogProbs = await clock.time('score', () => reference.logProbs(groups))
    const advantages = estimateAdvantages({ rewards, groups, referenceLogProbs }, config)
    const update = await clock.time('train', () =>
      updateTeacher({ groups, advantages, referenceLogProbs, learningRate, step }, session),
    )
    await reference.follow(teacher, step)
    const staleness = session.server?.stalenessOf(step)

    const passes = session.checkpointing.takePasses()
    const metrics = metricsRow({
      ...sampled,
      step,
      advantages,
      update,
      learningRate,
      staleness,
      clock,
      passes,
    })
    await session.finishStep(metrics, completionRows(groups, rewards, advantages, teacher.tokenizer))
    if (run.isSaveDue(step, config.training.steps)) await session.save()
    await session.server?.updateIfDue(teacher, step)
    await evaluation.measureIfDue(step)
  }
}
