/** A training run as its folder and its watchers see it: which step it is at, what is saved, what is told. */
import { formatConfig, type RunKind } from '../../config/index.js'
import type { Phase, TrainEvent } from '../../report/index.js'
import {
  type CheckpointState,
  type CompletionRow,
  type FoundCheckpoint,
  type MetricsRow,
  RunFolder,
} from '../../runs/index.js'
import { wasAborted } from './aborted.js'

export interface TrainOptions {
  /** Aborting ends the run: the steps finished until then are saved, and `train` returns. */
  signal?: AbortSignal | undefined
  /** Called after each step with its metrics, which are on the disk by then. */
  onStep?: ((row: MetricsRow) => void) | undefined
  onEvent?: ((event: TrainEvent) => void) | undefined
  /** Go on with the run in `output.folder` from its latest checkpoint. */
  resume?: boolean | undefined
}

export interface TrainResult {
  /** The run folder. */
  folder: string
  /** The latest checkpoint, a Hugging Face model folder; undefined if the run was stopped before its first one. */
  checkpoint: string | undefined
  /** Steps that were finished. */
  step: number
  /** False if the run was stopped by its signal. */
  finished: boolean
}

/** What a run needs to know of its configuration. */
interface RunConfig {
  output: { folder: string }
  training: { saveEvery: number; keepCheckpoints: number }
}

export class TrainingRun {
  /** Steps that are finished: their metrics are on the disk. */
  step: number
  /** Step of the latest checkpoint; 0 if there is none. */
  savedStep: number
  private checkpoint: string | undefined

  private constructor(
    private readonly config: RunConfig,
    private readonly folder: RunFolder,
    /** Where the run goes on from; undefined for a run from its beginning. */
    readonly resumedFrom: FoundCheckpoint | undefined,
    private readonly options: TrainOptions,
  ) {
    this.step = resumedFrom?.step ?? 0
    this.savedStep = this.step
    this.checkpoint = resumedFrom?.folder
  }

  static async open<Config extends RunConfig>(
    kind: RunKind<Config>,
    config: Config,
    options: TrainOptions,
  ): Promise<TrainingRun> {
    const yaml = formatConfig(config)
    if (!options.resume) {
      const folder = await RunFolder.create(config.output.folder, yaml, kind.name)
      return new TrainingRun(config, folder, undefined, options)
    }
    const folder = await RunFolder.open(config.output.folder)
    try {
      const found = await folder.latestCheckpoint()
      await folder.truncateAfter(found?.step ?? 0)
      await folder.writeConfig(yaml)
      const run = new TrainingRun(config, folder, found, options)
      for (const { folder: damaged, reason } of found?.passedOver ?? [])
        run.warn(`the checkpoint ${damaged} is damaged (${reason}); going on from an earlier one`)
      return run
    } catch (error) {
      await folder.close()
      throw error
    }
  }

  get path(): string {
    return this.folder.folder
  }
  get signal(): AbortSignal | undefined {
    return this.options.signal
  }

  /** @param completions what was sampled in the step; undefined where nothing is */
  async finishStep(metrics: MetricsRow, completions?: readonly CompletionRow[]): Promise<void> {
    if (completions !== undefined) await this.folder.writeCompletions(metrics.step, completions)
    await this.folder.appendMetrics(metrics)
    this.step = metrics.step
    this.options.onStep?.(metrics)
  }

  /** @param steps of the whole run */
  isSaveDue(step: number, steps: number): boolean {
    const { saveEvery } = this.config.training
    return step === steps || (saveEvery > 0 && step % saveEvery === 0)
  }

  /**
   * @param write fills the folder and returns the state to go on from, as in {@link RunFolder.saveCheckpoint}
   * @param best step of a checkpoint that is not to be removed
   */
  async save(write: (folder: string) => Promise<CheckpointState>, best?: number): Promise<void> {
    this.phase('save', this.step, 0, 1)
    const keep = this.config.training.keepCheckpoints
    this.checkpoint = await this.folder.saveCheckpoint(this.step, write, { keep, best })
    this.savedStep = this.step
    this.tell({ type: 'checkpoint', step: this.step, folder: this.checkpoint })
  }

  result(finished: boolean): TrainResult {
    return { folder: this.path, checkpoint: this.checkpoint, step: this.step, finished }
  }

  wasAborted(error: unknown): boolean {
    return wasAborted(error, this.signal)
  }

  /**
   * After an error or an abort: what was learned since the last checkpoint is not to be lost.
   * @param cause of the end of the run
   */
  async saveUnsavedSteps(cause: unknown, save: () => Promise<void>): Promise<void> {
    if (this.step === this.savedStep) return
    try {
      await save()
    } catch (error) {
      // The run's own failure is what its user has to hear of; where there is none, this is it.
      if (this.wasAborted(cause)) throw error
      this.warn(`the steps after step ${this.savedStep} could not be saved: ${(error as Error).message}`)
    }
  }

  async close(): Promise<void> {
    await this.folder.close()
  }

  /** @param steps of the whole run */
  begin(steps: number): void {
    this.tell({ type: 'begin', steps })
  }

  phase(phase: Phase, step: number, done: number, total: number): void {
    this.tell({ type: 'phase', phase, step, done, total })
  }

  inform(text: string): void {
    this.tell({ type: 'message', level: 'info', text })
  }

  warn(text: string): void {
    this.tell({ type: 'message', level: 'warning', text })
  }

  private tell(event: TrainEvent): void {
    this.options.onEvent?.(event)
  }
}
