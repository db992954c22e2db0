/** What is held in memory while a run goes on: models, optimizer, data. Loaded at its start, saved, disposed at its end. */
import { join } from 'node:path'
import type { TrainConfig } from '../../config/index.js'
import { type Dataset, fingerprint, readDataset, rowsThatFit } from '../../data/index.js'
import { AdamW, type Model } from '../../engine/index.js'
import type { Tokenizer } from '../../models/index.js'
import { loadTerms, type Term } from '../../rewards/index.js'
import { type CompletionRow, type MetricsRow, RunError } from '../../runs/index.js'
import { CheckpointingChoice, memoryBudgetOf } from '../shared/checkpointing.js'
import type { TrainingRun } from '../shared/run.js'
import type { Student } from '../shared/students.js'
import { optimizerFile, saveTrained } from '../shared/trained-model.js'
import { adviceOn } from './advice.js'
import { Evaluation } from './evaluation.js'
import { loadModels } from './models.js'
import { Questions } from './questions.js'
import { Reference } from './reference.js'
import { TrainingServer } from './server.js'

/** Kept in a checkpoint as training/state.json. Where the data are gone on with follows from the step. */
type State = {
  step: number
  /** Type of the teacher's weights, so that `auto` on another machine does not change the run. */
  dtype: 'float32' | 'bfloat16'
  /** Fingerprint of the rows that are trained on and measured. */
  data: string
}

interface Disposable {
  dispose(): void
}

interface Parts {
  teacher: Model
  students: readonly Student[]
  reference: Reference
  optimizer: AdamW
  terms: readonly Term[]
  questions: Questions
  heldOut: Dataset['heldOut']
  checkpointing: CheckpointingChoice
  server: TrainingServer | undefined
  dataFingerprint: string
  disposables: readonly Disposable[]
}

export class Session {
  readonly teacher: Model
  readonly students: readonly Student[]
  readonly reference: Reference
  readonly optimizer: AdamW
  /** The user's own terms of the reward. */
  readonly terms: readonly Term[]
  readonly questions: Questions
  readonly evaluation: Evaluation
  readonly checkpointing: CheckpointingChoice
  /** What samples in place of the teacher here; undefined where nothing does. */
  readonly server: TrainingServer | undefined
  /** False from a step's first change of weights to its end: what the weights are then is not to be saved. */
  betweenSteps = true
  private readonly advised = new Set<string>()

  private constructor(
    readonly config: TrainConfig,
    readonly run: TrainingRun,
    private readonly parts: Parts,
  ) {
    this.teacher = parts.teacher
    this.students = parts.students
    this.reference = parts.reference
    this.optimizer = parts.optimizer
    this.terms = parts.terms
    this.questions = parts.questions
    this.evaluation = new Evaluation(this, parts.heldOut)
    this.checkpointing = parts.checkpointing
    this.server = parts.server
  }

  /** What costs little is read first, so that a mistake there is known before models are fetched. */
  static async start(config: TrainConfig, run: TrainingRun): Promise<Session> {
    const dataset = await readDataset(config.data, {
      signal: run.signal,
      onProgress: ({ bytes, totalBytes = 0 }) => run.phase('load', run.step + 1, bytes, totalBytes),
    })
    const dataFingerprint = fingerprint(dataset)
    const state = run.resumedFrom?.state as State | undefined
    if (state !== undefined && state.data !== dataFingerprint)
      throw new RunError(
        `${run.path}: the data are not those that the run was started with. Put the files of data.train and ` +
          'data.heldOut back as they were, or start a new run.',
      )
    const terms = await loadTerms(config.reward.terms)
    const { server: options } = config.sampling
    const server = options === null ? undefined : new TrainingServer(options, config, run)

    const memoryBudget = memoryBudgetOf(config.training)
    const disposables: Disposable[] = []
    try {
      run.phase('load', run.step + 1, 0, 0)
      const loaded: Model[] = []
      const models = await loadModels(config, run, state?.dtype, model => {
        loaded.push(model)
        disposables.push(model)
      })
      const { train, heldOut } = await keepFitting(dataset, models, config, run)
      const optimizer = new AdamW(models.teacher, config.optimizer)
      disposables.push(optimizer)
      if (run.resumedFrom) await optimizer.load(optimizerFile(run.resumedFrom.folder))
      const session = new Session(config, run, {
        teacher: models.teacher,
        students: models.students,
        reference: new Reference(models.reference, config, run),
        checkpointing: new CheckpointingChoice(
          models.teacher,
          loaded.filter(model => model !== models.teacher),
          config.optimizer.moments,
          config.training,
          memoryBudget,
          run,
        ),
        questions: new Questions(train, config, models.teacher.tokenizer),
        ...{ server, optimizer, terms, heldOut, dataFingerprint, disposables },
      })
      await session.evaluation.open()
      return session
    } catch (error) {
      for (const disposable of disposables) disposable.dispose()
      throw error
    }
  }

  get tokenizer(): Tokenizer {
    return this.teacher.tokenizer
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
    for (const [kind, text] of Object.entries(adviceOn(metrics, completions, this.config))) {
      if (!this.advised.has(kind)) this.run.warn(text)
      this.advised.add(kind)
    }
  }

  async save(): Promise<void> {
    await this.run.save(async folder => {
      await saveTrained(this.teacher, folder, this.config.teacher.model)
      await this.optimizer.save(optimizerFile(folder))
      await this.reference.save(join(folder, 'training', 'reference'))
      const { dtype } = this.teacher
      return { step: this.run.step, dtype, data: this.parts.dataFingerprint } satisfies State
    })
  }

  /** As {@link TrainingRun.saveUnsavedSteps}. */
  async saveUnsavedSteps(cause: unknown): Promise<void> {
    if (this.betweenSteps) await this.run.saveUnsavedSteps(cause, () => this.save())
  }

  dispose(): void {
    for (const disposable of this.parts.disposables) disposable.dispose()
  }
}

/** The rows that all models can read. */
async function keepFitting(
  dataset: Dataset,
  { teacher, students }: { teacher: Model; students: readonly Student[] },
  config: TrainConfig,
  run: TrainingRun,
): Promise<Dataset> {
  const reader = (name: string, { tokenizer, configuration: { maxPositions } }: Model) => ({
    ...{ name, tokenizer, maxPositions },
  })
  const readers = students.map(({ name, model }) => reader(name, model))
  const ofRows = async (rows: Dataset['train']) => {
    if (rows.length === 0) return []
    const fit = await rowsThatFit(rows, reader(config.teacher.model, teacher), readers, config, run.signal)
    const [first] = fit.skipped
    if (first !== undefined)
      run.warn(
        `${fit.skipped.length} of ${rows.length} rows are left out; the first, ${first.row.origin}: ${first.reason}`,
      )
    return fit.rows
  }
  return { train: await ofRows(dataset.train), heldOut: await ofRows(dataset.heldOut) }
}
