/** What is held in memory while a run goes on: models, optimizer, data. Loaded at its start, saved, disposed at its end. */
import { join } from 'node:path'
import type { TrainConfig } from '../../config/index.js'
import { type Dataset, fingerprint, readDataset, rowsThatFit } from '../../data/index.js'
import { AdamW, type Model } from '../../engine/index.js'
import type { RltError } from '../../errors.js'
import { loadTerms, type Term } from '../../rewards/index.js'
import { type CompletionRow, type MetricsRow, RunError } from '../../runs/index.js'
import { Evaluation } from './evaluation.js'
import { loadModels, type Student } from './models.js'
import { Questions } from './questions.js'
import { Reference } from './reference.js'
import type { TrainingRun } from './run.js'

/** Kept in a checkpoint as training/state.json. */
type State = {
  step: number
  /** Type of the teacher's weights, so that `auto` on another machine does not change the run. */
  dtype: 'float32' | 'bfloat16'
  /** Of the rows that are trained on and measured. */
  data: string
}

export class Session {
  /** False from the first change of weights to the end of a step: the weights are none of a finished step then. */
  betweenSteps = true

  private constructor(
    readonly config: TrainConfig,
    readonly run: TrainingRun,
    readonly teacher: Model,
    readonly students: readonly Student[],
    readonly reference: Reference,
    readonly optimizer: AdamW,
    readonly terms: readonly Term[],
    readonly questions: Questions,
    private readonly dataFingerprint: string,
    private readonly heldOut: Dataset['heldOut'],
    private readonly disposables: readonly { dispose(): void }[],
  ) {
    this.evaluation = new Evaluation(this, this.heldOut)
  }

  readonly evaluation: Evaluation

  /** What costs little is read first, so that a mistake there is known before models are fetched. */
  static async start(config: TrainConfig, run: TrainingRun): Promise<Session> {
    const { signal, resumedFrom } = run
    const state = resumedFrom?.state as State | undefined
    const dataset = await readDataset(config.data, signal)
    const data = fingerprint(dataset)
    if (state !== undefined && state.data !== data)
      throw new RunError(
        `${run.path}: the data are not those that the run was started with. Put the files of data.train and ` +
          'data.heldOut back as they were, or start a new run.',
      )
    const terms = await loadTerms(config.reward.terms)

    run.phase('load', run.step + 1, 0, 1)
    const models = await loadModels(config, run, state?.dtype)
    const disposables: { dispose(): void }[] = [...models.all]
    try {
      const { teacher, students } = models
      const fitting = await fitRows(dataset, models, config, run)
      const optimizer = new AdamW(teacher, config.optimizer)
      disposables.push(optimizer)
      if (resumedFrom !== undefined)
        await optimizer.load(join(resumedFrom.folder, 'training', 'optimizer.safetensors'))
      const reference = new Reference(models.reference, config, run)
      const questions = new Questions(fitting.train, config, teacher.tokenizer)
      const session = new Session(
        ...([config, run, teacher, students, reference, optimizer, terms, questions, data] as const),
        fitting.heldOut,
        disposables,
      )
      await session.evaluation.open()
      return session
    } catch (error) {
      for (const disposable of disposables) disposable.dispose()
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

  async finishStep(metrics: MetricsRow, completions: readonly CompletionRow[]): Promise<void> {
    await this.run.finishStep(metrics, completions)
    this.betweenSteps = true
  }

  async save(): Promise<void> {
    await this.run.save(async folder => {
      await this.teacher.save(folder)
      await this.optimizer.save(join(folder, 'training', 'optimizer.safetensors'))
      await this.reference.save(join(folder, 'training', 'reference'))
      return { step: this.run.step, dtype: this.teacher.dtype, data: this.dataFingerprint } satisfies State
    })
  }

  /** After an error or an abort: what was learned since the last checkpoint is not to be lost. */
  async saveUnsavedSteps(cause: unknown): Promise<void> {
    if (!this.betweenSteps || this.run.step === this.run.savedStep) return
    try {
      await this.save()
    } catch (error) {
      // The run's own failure is what its user has to hear of; where there is none, this is it.
      if (this.run.wasAborted(cause)) throw error
      this.run.warn(
        `the steps since ${this.run.savedStep} could not be saved: ${(error as RltError).message}`,
      )
    }
  }

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose()
  }
}

async function fitRows(
  dataset: Dataset,
  { teacher, students }: { teacher: Model; students: readonly Student[] },
  config: TrainConfig,
  run: TrainingRun,
): Promise<Dataset> {
  const reader = (name: string, model: Model) => ({
    name,
    tokenizer: model.tokenizer,
    maxPositions: model.configuration.maxPositions,
  })
  const readers = students.map(student => reader(student.name, student.model))
  const keepFitting = async (rows: Dataset['train']) => {
    if (rows.length === 0) return []
    const fitting = await rowsThatFit(
      rows,
      reader(config.teacher.model, teacher),
      readers,
      config,
      run.signal,
    )
    const [first] = fitting.skipped
    if (first !== undefined)
      run.warn(
        `${fitting.skipped.length} of ${rows.length} rows are left out; the first, ${first.row.origin}: ${first.reason}`,
      )
    return fitting.rows
  }
  return { train: await keepFitting(dataset.train), heldOut: await keepFitting(dataset.heldOut) }
}
