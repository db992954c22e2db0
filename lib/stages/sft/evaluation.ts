/**
 * The loss on rows that are not trained on: `evaluation.jsonl`, one line a measurement. Its `step` is how many steps the
 * model had been trained for.
 */
import { join } from 'node:path'
import type { Example } from '../../data/index.js'
import { type MetricsRow, readEvaluations, writeFileAtomic } from '../../runs/index.js'
import { lossTokensOf } from './batches.js'
import type { SftSession } from './session.js'
import { tokenGroup } from './update.js'

export class Evaluation {
  private rows: MetricsRow[] = []

  constructor(
    private readonly session: SftSession,
    private readonly examples: readonly Example[],
  ) {}

  /** Takes up what was measured until the step that the run is at. */
  async open(): Promise<void> {
    const { path, step } = this.session.run
    this.rows = (await readEvaluations(path)).filter(row => row.step <= step)
  }

  /** Step after which the loss was lowest, the earliest of equal ones; undefined if none was measured after a step. */
  get bestStep(): number | undefined {
    const trained = this.rows.filter(({ step }) => step > 0)
    return trained.reduce<MetricsRow | undefined>(
      (best, row) => (best === undefined || lossOf(row) < lossOf(best) ? row : best),
      undefined,
    )?.step
  }

  /** @returns undefined if none was measured after this step */
  lossAfter(step: number): number | undefined {
    const row = this.rows.find(row => row.step === step)
    return row && lossOf(row)
  }

  /** Step of the latest measurement; undefined if there is none. */
  get latestStep(): number | undefined {
    return this.rows.at(-1)?.step
  }

  /**
   * Before the first step, after the last and every `evaluateEvery` between. Measuring changes nothing in the run: if it
   * is interrupted, the resumed run measures again.
   * @returns whether the loss is now lower than after any earlier step
   */
  async measureIfDue(step: number): Promise<boolean> {
    if (!this.isDue(step)) return false
    await this.measure(step)
    return step === this.bestStep
  }

  private isDue(step: number): boolean {
    const { config, batches } = this.session
    const { evaluateEvery } = config.training
    if (this.examples.length === 0 || this.rows.some(row => row.step === step)) return false
    return step === 0 || step === batches.steps || (evaluateEvery > 0 && step % evaluateEvery === 0)
  }

  private async measure(step: number): Promise<void> {
    const { model, run, callOptions } = this.session
    const rows = this.examples.length
    const started = performance.now()
    const logProbs = await model.logProbs(this.examples.map(tokenGroup), {
      onProgress: share => run.phase('evaluate', step, Math.round(share * rows), rows),
      ...callOptions,
    })
    const tokens = lossTokensOf(this.examples)
    const sum = logProbs.flat().reduce((total, ofRow) => ofRow.reduce((a, b) => a + b, total), 0)
    const row = {
      step,
      'held_out/loss': -sum / tokens,
      'held_out/rows': rows,
      'held_out/loss_tokens': tokens,
      'held_out/seconds': (performance.now() - started) / 1000,
    }
    this.rows.push(row)
    await writeFileAtomic(
      join(run.path, 'evaluation.jsonl'),
      this.rows.map(line => `${JSON.stringify(line)}\n`).join(''),
    )
    const when = step === 0 ? 'before training' : `after step ${step}`
    run.inform(`held-out loss ${when}: ${row['held_out/loss'].toFixed(4)} (${tokens} tokens of ${rows} rows)`)
  }
}

/** A loss that is not finite, which is written as null, is worse than any other. */
function lossOf(row: MetricsRow): number {
  const loss = row['held_out/loss']
  return Number.isFinite(loss) ? loss! : Number.POSITIVE_INFINITY
}
