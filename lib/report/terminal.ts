/**
 * The view of a run on standard error: on a terminal one line a step, and under them what is going on just now,
 * redrawn in place; elsewhere (a file, a CI log) plain lines only. The reward comes first (the loss where nothing is
 * rewarded): it is what one trains for.
 */
import { createLogUpdate } from 'log-update'
import pc from 'picocolors'
import type { MetricsRow } from '../runs/index.js'
import type { Phase, TrainEvent } from './events.js'
import { bar, formatBytes, formatNumber, formatSeconds, sparkline } from './text.js'

export interface TerminalStream extends NodeJS.WritableStream {
  isTTY?: boolean
  columns?: number
}

export interface TerminalView {
  event(event: TrainEvent): void
  step(row: MetricsRow): void
  /** Leaves the lines as they are; nothing is drawn in place afterwards. */
  close(): void
}

const phaseNames: Record<Phase, string> = {
  load: 'loading',
  sample: 'sampling explanations',
  score: 'scoring',
  train: 'training',
  evaluate: 'measuring on held-out rows',
  save: 'saving',
}

export function createTerminalView(steps: number, stream: TerminalStream = process.stderr): TerminalView {
  // Some pseudo-terminals (docker, script) have no size: nothing can be drawn in place there.
  return stream.isTTY && stream.columns ? new LiveView(steps, stream) : new PlainView(steps, stream)
}

class PlainView implements TerminalView {
  constructor(
    protected steps: number,
    protected readonly stream: TerminalStream,
  ) {}

  event(event: TrainEvent): void {
    if (event.type === 'begin') this.steps = event.steps
    const text = describeEvent(event)
    if (text !== undefined) this.line(text)
  }

  step(row: MetricsRow): void {
    this.line(describeStep(row, this.steps))
  }

  close(): void {}

  protected line(text: string): void {
    this.stream.write(`${text}\n`)
  }
}

/** Redraws at most every 100 ms: drawing faster than one can read only costs time. */
class LiveView extends PlainView {
  private readonly log
  private readonly started = performance.now()
  private readonly headline: number[] = []
  private measure = 'reward'
  private readonly stepSeconds: number[] = []
  private current: { phase: Phase; step: number; done: number; total: number } | undefined
  private readonly timer: NodeJS.Timeout

  constructor(steps: number, stream: TerminalStream) {
    super(steps, stream)
    this.log = createLogUpdate(stream as NodeJS.WriteStream)
    this.timer = setInterval(() => this.draw(), 100)
    this.timer.unref()
  }

  override event(event: TrainEvent): void {
    if (event.type === 'phase') this.current = event
    super.event(event)
  }

  override step(row: MetricsRow): void {
    this.measure = headlineOf(row)
    const value = row[this.measure]
    if (typeof value === 'number') this.headline.push(value)
    if (typeof row.seconds === 'number') this.stepSeconds.push(row.seconds)
    super.step(row)
  }

  override close(): void {
    clearInterval(this.timer)
    this.log.clear()
    this.log.done()
  }

  protected override line(text: string): void {
    this.log.clear()
    this.stream.write(`${text}\n`)
    this.draw()
  }

  private draw(): void {
    if (!this.current) return
    const { phase, step, done, total } = this.current
    const elapsed = (performance.now() - this.started) / 1000
    const fraction = total > 0 ? done / total : 0
    const lines = [
      `${bar((step - 1) / this.steps, 20)} step ${step} of ${this.steps}, ${formatSeconds(elapsed)} so far${this.left(step)}`,
      `${bar(fraction, 20)} ${phaseNames[phase]} ${total > 0 ? `${done} of ${total}` : ''}`,
    ]
    if (this.headline.length > 1) lines.push(`${sparkline(this.headline, 60)} ${this.measure}`)
    const width = this.stream.columns! - 1
    this.log(lines.map(line => pc.dim(line.slice(0, width))).join('\n'))
  }

  private left(step: number): string {
    const recent = this.stepSeconds.slice(-5)
    if (recent.length === 0) return ''
    const mean = recent.reduce((a, b) => a + b, 0) / recent.length
    return `, about ${formatSeconds(mean * (this.steps - step + 1))} left`
  }
}

function describeEvent(event: TrainEvent): string | undefined {
  switch (event.type) {
    case 'message':
      return event.level === 'warning' ? `warning: ${event.text}` : event.text
    case 'checkpoint':
      return `step ${event.step}: saved ${event.folder}`
    case 'begin':
    case 'phase':
      return undefined
  }
}

/** What one trains for. */
const headlineOf = (row: MetricsRow) => ('reward' in row ? 'reward' : 'loss')

/** One line: the reward and its parts, how far the policy moved, then time and memory. */
function describeStep(row: MetricsRow, steps: number): string {
  const value = (key: string) => (typeof row[key] === 'number' ? row[key] : undefined)
  const named = (label: string, key: string) =>
    key in row ? `${label} ${formatNumber(row[key])}` : undefined
  const parts = Object.keys(row)
    .filter(key => key.startsWith('reward/'))
    .map(key => named(key.slice('reward/'.length), key))
  const seconds = value('seconds')
  const phases = (['sample', 'score', 'train'] as const)
    .filter(phase => value(`seconds/${phase}`) !== undefined)
    .map(phase => `${phase} ${formatSeconds(value(`seconds/${phase}`)!)}`)
  const memory = value('peak_memory_bytes')
  return [
    `step ${row.step}/${steps}`,
    named(headlineOf(row), headlineOf(row)),
    ...parts,
    unended(value('missing_end_fraction')),
    named('kl', 'kl_ref'),
    named('gap', 'sampler_trainer_gap'),
    'reward' in row ? undefined : named('lr', 'lr'),
    'completion_tokens' in row ? `${formatNumber(row.completion_tokens)} tokens` : undefined,
    'loss_tokens' in row ? `${formatNumber(row.tokens)} tokens` : undefined,
    seconds === undefined
      ? undefined
      : `${formatSeconds(seconds)}${phases.length > 0 ? ` (${phases.join(', ')})` : ''}`,
    memory === undefined ? undefined : formatBytes(memory),
  ]
    .filter(part => part !== undefined)
    .join('  ')
}

/** An explanation that was not ended says nothing: where they are many, the reward is mostly the penalty for that. */
function unended(fraction: number | undefined): string | undefined {
  if (!fraction) return undefined
  if (fraction === 1) return 'no explanation was ended: raise sampling.maxNewTokens'
  return `${Math.round(fraction * 100)}% not ended`
}
