/**
 * Supervised fine-tuning: the loop that `rlt warmup` and `rlt distill` have in common. What tells them apart is which
 * part of a trace is the prompt and which the completion.
 */
import type { RunKind, SftConfig } from '../../config/index.js'
import { learningRateAt } from '../shared/learningRate.js'
import { TrainingRun, type TrainOptions } from '../shared/run.js'
import type { MakeExample } from './examples.js'
import { metricsRow } from './metrics.js'
import { SftSession } from './session.js'
import { updateModel } from './update.js'

export interface SftResult {
  /** The run folder. */
  folder: string
  /** The trained model, a Hugging Face folder; undefined if the run was stopped before its end. */
  model: string | undefined
  /** The checkpoint that it was made from. */
  modelStep: number | undefined
  /** Steps that were finished. */
  step: number
  /** Steps of the whole run; undefined if it was stopped before they could be counted. */
  steps: number | undefined
  /**
   * Mean negative log-likelihood of a token of the held-out rows, in nats: before training, and of `model` (of the latest
   * measurement where there is none yet). Undefined where no rows are held out.
   */
  heldOutLoss: { before: number; after: number } | undefined
  /** False if the run was stopped by its signal. */
  finished: boolean
}

/** A stage of supervised fine-tuning. */
export interface SftStage<Config> {
  kind: RunKind<Config>
  makeExample: MakeExample
  settings(config: Config): SftConfig
}

export async function finetune<Config extends Pick<SftConfig, 'output' | 'training'>>(
  stage: SftStage<Config>,
  input: Config,
  options: TrainOptions,
): Promise<SftResult> {
  const run = await TrainingRun.open(stage.kind, input, options)
  let session: SftSession | undefined
  try {
    session = await SftSession.start(stage.settings(input), stage.makeExample, run)
    await trainSteps(session)
    return session.result(await session.writeModel())
  } catch (error) {
    await session?.saveUnsavedSteps(error)
    if (!run.wasAborted(error)) throw error
    return session?.result() ?? stoppedWhileLoading(run)
  } finally {
    session?.dispose()
    await run.close()
  }
}

async function trainSteps(session: SftSession): Promise<void> {
  const { run, batches, evaluation, course } = session
  await evaluation.measureIfDue(run.step)
  while (run.step < batches.steps) {
    const step = run.step + 1
    const started = performance.now()
    const learningRate = learningRateAt(step, course)
    const batch = batches.ofStep(step)
    const update = await updateModel(batch, learningRate, step, session)
    const passes = session.checkpointing.takePasses()
    await session.finishStep(metricsRow({ step, batch, update, learningRate, started, passes }))
    const isBest = await evaluation.measureIfDue(step)
    if (isBest || run.isSaveDue(step, batches.steps)) await session.save()
  }
}

function stoppedWhileLoading({ path, step }: TrainingRun): SftResult {
  return {
    ...{ folder: path, model: undefined, modelStep: undefined, step, steps: undefined },
    ...{ heldOutLoss: undefined, finished: false },
  }
}
