/** What there is to do, what of it is done, and who is told. */
import type { ExplainConfig } from '../../config/index.js'
import { fingerprint, type Row, readSource } from '../../data/index.js'
import { FoundJudges } from '../shared/judges.js'
import { drawnBy } from '../shared/sampling.js'
import { OutputFiles } from './output.js'
import { columnsOf, type FinishedBatch } from './selection.js'

export type ExplainEvent =
  | { type: 'message'; text: string; level: 'info' | 'warning' }
  /** Of the batch that is worked on, from 0 to 1. */
  | { type: 'phase'; phase: 'load' | 'sample' | 'score'; share: number }
  /** A batch is finished and saved; questions are those finished since the very beginning. */
  | {
      type: 'batch'
      questions: number
      totalQuestions: number
      explanations: number
      meanReward: number | null
    }

export interface ExplainOptions {
  /** Aborting ends the work: finished batches are saved, and `explain` returns. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: ExplainEvent) => void) | undefined
}

export interface ExplainResult {
  /** The file of explanations. A .parquet file is there when the work is finished. */
  output: string
  /** The file of questions without an explanation; undefined if there is none. */
  failures: string | undefined
  /** Questions that are done with. */
  questions: number
  totalQuestions: number
  /** Rows of the output. */
  explanations: number
  /** Questions without an explanation. */
  failed: number
  /** Of the rows of the output; null if there are none. */
  meanReward: number | null
  /** False if the work was stopped by its signal. */
  finished: boolean
}

export interface PlacedRow {
  row: Row
  /** In the data source, from 0. */
  place: number
}

export class ExplainWork {
  private constructor(
    private readonly config: ExplainConfig,
    private readonly rows: readonly Row[],
    readonly judges: FoundJudges,
    private readonly output: OutputFiles,
    private readonly options: ExplainOptions,
  ) {}

  /** What costs little is read first, so that a mistake there is known before models are loaded. */
  static async open(config: ExplainConfig, options: ExplainOptions): Promise<ExplainWork> {
    const { signal, onEvent } = options
    const onProgress = ({ bytes, totalBytes }: { bytes: number; totalBytes?: number | undefined }) =>
      onEvent?.({ type: 'phase', phase: 'load', share: totalBytes ? bytes / totalBytes : 0 })
    const rows = await readSource(config.data, 'data', { signal, onProgress })
    const { teacher, data, sampling, keep, questionsPerBatch, seed } = config
    const weights = teacher.server === null ? teacher.model : teacher.weights
    const judges = await FoundJudges.find(
      { ...config, teacher: weights === null ? null : { model: weights, dtype: teacher.dtype } },
      { signal, onProgress },
    )
    const identity = [
      ...[judges.identity, fingerprint({ train: rows, heldOut: [] }), data.maxPromptTokens],
      ...[drawnBy(sampling), keep, questionsPerBatch, seed],
      teacher.server === null ? null : [teacher.model, teacher.requests.api],
    ]
    const output = await OutputFiles.open(config.output, columnsOf(config, judges.termNames), identity)
    const done = output.batches * questionsPerBatch
    if (done > 0)
      onEvent?.({
        type: 'message',
        level: 'info',
        text: `Going on after ${done} of ${rows.length} questions`,
      })
    return new ExplainWork(config, rows, judges, output, options)
  }

  get signal(): AbortSignal | undefined {
    return this.options.signal
  }

  /** Whether it was so from the start, or is now. */
  get isComplete(): boolean {
    return this.output.isComplete
  }

  /** The questions to go on with, batch by batch: which are together is a function of their places. */
  *batches(): Generator<PlacedRow[], undefined> {
    const { questionsPerBatch } = this.config
    for (let batch = this.output.batches; batch * questionsPerBatch < this.rows.length; batch++) {
      this.signal?.throwIfAborted()
      const start = batch * questionsPerBatch
      yield this.rows.slice(start, start + questionsPerBatch).map((row, i) => ({ row, place: start + i }))
    }
  }

  async finishBatch(batch: FinishedBatch): Promise<void> {
    await this.output.append(batch)
    const { questions, totalQuestions, explanations, meanReward } = this.result(false)
    this.options.onEvent?.({ type: 'batch', questions, totalQuestions, explanations, meanReward })
  }

  async finish(): Promise<void> {
    await this.output.finish()
  }

  result(finished: boolean): ExplainResult {
    const { rows, failures, rewards } = this.output.totals
    return {
      output: this.output.path,
      failures: failures > 0 ? this.output.failuresPath : undefined,
      questions: finished
        ? this.rows.length
        : Math.min(this.rows.length, this.output.batches * this.config.questionsPerBatch),
      totalQuestions: this.rows.length,
      ...{ explanations: rows, failed: failures, meanReward: rows > 0 ? rewards / rows : null, finished },
    }
  }

  progress(phase: 'sample' | 'score', share: number): void {
    this.options.onEvent?.({ type: 'phase', phase, share })
  }

  async close(): Promise<void> {
    await this.output.close()
  }
}
