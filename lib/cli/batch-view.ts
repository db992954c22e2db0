/** How far a stage that goes batch by batch has come, on standard error. */
import { bar, formatNumber, formatSeconds } from '../report/text.js'

export interface BatchProgress {
  done: number
  total: number
  /** Mean reward of the rows that are done, or what else there is to be seen of them. */
  value: number | null
}

const secondsBetweenLines = 5

/** On a terminal one line that is drawn anew; elsewhere a line now and then, and the last. */
export class BatchView {
  private readonly started = performance.now()
  private doneBefore: number | undefined
  private shown = Number.NEGATIVE_INFINITY
  private line = ''

  constructor(
    /** What is counted: questions, rows. */
    private readonly unit: string,
    /** What `value` is. */
    private readonly measure = 'mean reward',
    private readonly stream: NodeJS.WriteStream = process.stderr,
  ) {}

  message(text: string): void {
    this.clear()
    this.stream.write(`${text}\n`)
    this.draw()
  }

  /** Before the first batch. */
  loading(share: number): void {
    if (!this.stream.isTTY || share <= 0) return
    this.line = `${bar(share, 20)} loading`
    this.draw()
  }

  batch({ done, total, value }: BatchProgress): void {
    const now = performance.now()
    const seconds = (now - this.started) / 1000
    // What an earlier process did says nothing of the speed of this one.
    const before = this.doneBefore
    this.doneBefore ??= done
    const left =
      before === undefined || done === before ? undefined : (seconds / (done - before)) * (total - done)
    const shown = value === null ? '' : `, ${this.measure} ${formatNumber(value)}`
    const time = left === undefined || done === total ? '' : `, about ${formatSeconds(left)} left`
    const text = `${done} of ${total} ${this.unit}${shown}${time}`
    if (this.stream.isTTY) {
      this.line = `${bar(done / total, 20)} ${text}`
      this.draw()
    } else if (done === total || now - this.shown > secondsBetweenLines * 1000) {
      this.shown = now
      this.stream.write(`${text}\n`)
    }
  }

  close(): void {
    this.clear()
    this.line = ''
  }

  private draw(): void {
    if (this.line === '') return
    this.clear()
    this.stream.write(this.line.slice(0, (this.stream.columns ?? 80) - 1))
  }

  private clear(): void {
    if (this.stream.isTTY && this.line !== '') this.stream.write('\r\x1b[K')
  }
}
