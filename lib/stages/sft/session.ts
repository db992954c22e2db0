/** What is held in memory while a run goes on: model, optimizer, data. Loaded at its start, saved, disposed at its end. */
import { join } from 'node:path'
import type { SftConfig } from '../../config/index.js'
import { type Example, readTraces, type Split, type Trace, traceFingerprint } from '../../data/index.js'
import { AdamW, type Model } from '../../engine/index.js'
import { type MetricsRow, RunError } from '../../runs/index.js'
import { CheckpointingChoice, memoryBudgetOf } from '../shared/checkpointing.js'
import type { LearningRateCourse } from '../shared/learningRate.js'
import type { TrainingRun } from '../shared/run.js'
import { loadTrained, optimizerFile, saveTrained, takeWeights } from '../shared/trained-model.js'
import { Batches } from './batches.js'
import { Evaluation } from './evaluation.js'
import { type MakeExample, makeExamples } from './examples.js'
import type { SftResult } from './finetune.js'
import { writeModelFolder } from './model-folder.js'

/** Kept in a checkpoint as training/state.json. Where the data are gone on with follows from the step. */
type State = {
  step: number
  /** Type of the weights, so that `auto` on another machine does not change the run. */
  dtype: 'float32' | 'bfloat16'
  /** Fingerprint of the rows that are trained on and measured. */
  data: string
}

export class SftSession {
  readonly batches: Batches
  readonly evaluation: Evaluation
  readonly course: LearningRateCourse
  readonly checkpointing: CheckpointingChoice
  /** False while a step changes weights: what the weights are then is not to be saved. */
  betweenSteps = true

  private constructor(
    readonly config: SftConfig,
    readonly run: TrainingRun,
    readonly model: Model,
    readonly optimizer: AdamW,
    examples: Split<Example>,
    private readonly dataFingerprint: string,
    memoryBudget: number,
  ) {
    this.batches = new Batches(examples.train, config)
    this.evaluation = new Evaluation(this, examples.heldOut)
    const { moments } = config.optimizer
    this.checkpointing = new CheckpointingChoice(model, [], moments, config.training, memoryBudget, run)
    const { learningRate, schedule, warmupShare } = config.optimizer
    const { steps } = this.batches
    this.course = { learningRate, schedule, warmupSteps: Math.ceil(warmupShare * steps), steps }
  }

  /** What costs little is read first, so that a mistake there is known before a model is fetched. */
  static async start(config: SftConfig, makeExample: MakeExample, run: TrainingRun): Promise<SftSession> {
    const faults: string[] = []
    const traces = await readTraces(config.data, {
      signal: run.signal,
      onInvalid: ({ message }) => faults.push(message),
      onProgress: ({ bytes, totalBytes = 0 }) => run.phase('load', run.step + 1, bytes, totalBytes),
    })
    if (faults.length > 0) run.warn(`${faults.length} rows are left out; the first: ${faults[0]}`)
    const data = traceFingerprint(traces)
    const state = run.resumedFrom?.state as State | undefined
    if (state !== undefined && state.data !== data)
      throw new RunError(
        `${run.path}: the data are not those that the run was started with. Put the files of data.train and ` +
          'data.heldOut back as they were, or start a new run.',
      )
    return SftSession.load(config, makeExample, run, traces, state?.dtype, data)
  }

  private static async load(
    config: SftConfig,
    makeExample: MakeExample,
    run: TrainingRun,
    traces: Split<Trace>,
    dtype: State['dtype'] | undefined,
    data: string,
  ): Promise<SftSession> {
    run.phase('load', run.step + 1, 0, 0)
    const memoryBudget = memoryBudgetOf(config.training)
    const model = await loadTrained(config.model, dtype, config, config.training.seed, run)
    let optimizer: AdamW | undefined
    try {
      const examples = await makeExamples(traces, makeExample, model, config, run)
      optimizer = new AdamW(model, config.optimizer)
      if (run.resumedFrom) {
        if (!model.lora) await takeWeights(model, run.resumedFrom.folder, config.device)
        await optimizer.load(optimizerFile(run.resumedFrom.folder))
      }
      const session = new SftSession(config, run, model, optimizer, examples, data, memoryBudget)
      await session.evaluation.open()
      run.begin(session.batches.steps)
      return session
    } catch (error) {
      optimizer?.dispose()
      model.dispose()
      throw error
    }
  }

  /** What every long call of the engine is given. */
  get callOptions(): { signal?: AbortSignal; tokenBudget?: number } {
    const { tokenBudget } = this.config.training
    return {
      ...(this.run.signal ? { signal: this.run.signal } : {}),
      ...(tokenBudget > 0 ? { tokenBudget } : {}),
    }
  }

  async finishStep(metrics: MetricsRow): Promise<void> {
    await this.run.finishStep(metrics)
    this.betweenSteps = true
  }

  async save(): Promise<void> {
    await this.run.save(async folder => {
      await saveTrained(this.model, folder, this.config.model.model)
      await this.optimizer.save(optimizerFile(folder))
      const { dtype } = this.model
      return { step: this.run.step, dtype, data: this.dataFingerprint } satisfies State
    }, this.evaluation.bestStep)
  }

  /** As {@link TrainingRun.saveUnsavedSteps}. */
  async saveUnsavedSteps(cause: unknown): Promise<void> {
    if (this.betweenSteps) await this.run.saveUnsavedSteps(cause, () => this.save())
  }

  /** @returns the step of the checkpoint that the run's model was made of */
  async writeModel(): Promise<number> {
    const { evaluation, config, run } = this
    const step = (config.output.model === 'best' ? evaluation.bestStep : undefined) ?? run.step
    await writeModelFolder(run.path, step)
    const before = evaluation.lossAfter(0)
    const after = evaluation.lossAfter(step)
    if (before !== undefined && after !== undefined && after > before)
      run.warn(
        `the held-out loss was lower before training (${before.toFixed(4)}) than it is after (${after.toFixed(4)}): ` +
          'take a lower optimizer.learningRate, or fewer epochs',
      )
    return step
  }

  /** @param modelStep undefined where the run was stopped before its end */
  result(modelStep?: number): SftResult {
    const { evaluation, batches } = this
    const { path, step } = this.run
    const before = evaluation.lossAfter(0)
    const after = evaluation.lossAfter(modelStep ?? evaluation.latestStep ?? 0)
    return {
      folder: path,
      model: modelStep === undefined ? undefined : join(path, 'model'),
      ...{ modelStep, step, steps: batches.steps },
      heldOutLoss: before === undefined || after === undefined ? undefined : { before, after },
      finished: modelStep !== undefined,
    }
  }

  dispose(): void {
    this.optimizer.dispose()
    this.model.dispose()
  }
}
