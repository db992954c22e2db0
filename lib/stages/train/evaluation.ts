/**
 * The reward on questions that are not trained on: `evaluation.jsonl`, one line a measurement. Its `step` is how many
 * steps the teacher had been trained for; `held_out/reward_standard_error` is that of the mean of the questions' means,
 * for completions of one question are not independent of each other.
 */
import { join } from 'node:path'
import type { Row } from '../../data/index.js'
import { type MetricsRow, readEvaluations, writeFileAtomic } from '../../runs/index.js'
import { rewardMetrics } from './metrics.js'
import { heldOutRequests } from './questions.js'
import { sampleExplanations } from './sampling.js'
import { scoreExplanations } from './scoring.js'
import type { Session } from './session.js'

export class Evaluation {
  private rows: MetricsRow[] = []

  constructor(
    private readonly session: Session,
    private readonly questions: readonly Row[],
  ) {}

  /** Takes up what was measured until the step that the run is at. */
  async open(): Promise<void> {
    const { path, step } = this.session.run
    this.rows = (await readEvaluations(path)).filter(row => row.step <= step)
  }

  /**
   * Before the first step, after the last and every `evaluateEvery` between. Measuring changes nothing in the run: if
   * it is interrupted, the resumed run measures again.
   */
  async measureIfDue(step: number): Promise<void> {
    if (this.isDue(step)) await this.measure(step)
  }

  private isDue(step: number): boolean {
    const { steps, evaluateEvery } = this.session.config.training
    if (this.questions.length === 0 || this.rows.some(row => row.step === step)) return false
    return step === 0 || step === steps || (evaluateEvery > 0 && step % evaluateEvery === 0)
  }

  private async measure(step: number): Promise<void> {
    const { session } = this
    const { config, run, teacher } = session
    const started = performance.now()
    const requests = heldOutRequests(this.questions, config, teacher.tokenizer)
    const groups = await sampleExplanations(requests, session, step, { phase: 'evaluate' })
    const rewards = await scoreExplanations(groups, session, step)
    const ofQuestions = rewards
      .map(group => group.map(({ reward }) => reward).filter(Number.isFinite))
      .filter(group => group.length > 0)
      .map(meanOf)
    const metrics = rewardMetrics({ groups, rewards })
    const row = {
      step,
      'held_out/reward': metrics.reward!,
      'held_out/reward_standard_error': standardError(ofQuestions),
      ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`held_out/${name}`, value])),
      'held_out/questions': this.questions.length,
      'held_out/completions': config.training.heldOutCompletions,
      'held_out/seconds': (performance.now() - started) / 1000,
    }
    this.rows.push(row)
    await writeFileAtomic(this.file, this.rows.map(line => `${JSON.stringify(line)}\n`).join(''))
    const when = step === 0 ? 'before training' : `after step ${step}`
    run.inform(
      `held-out reward ${when}: ${row['held_out/reward'].toFixed(4)} ± ` +
        `${row['held_out/reward_standard_error'].toFixed(4)} (standard error, ${this.questions.length} questions)`,
    )
  }

  private get file(): string {
    return join(this.session.run.path, 'evaluation.jsonl')
  }
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

function standardError(means: readonly number[]): number {
  const mean = meanOf(means)
  const squares = means.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return Math.sqrt(squares / (means.length - 1) / means.length)
}
