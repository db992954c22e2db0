/**
 * The files of an explained data set. While the work goes on, what is done is in the journal in `OUTPUT.partial/`; the
 * output and the failures are made of it, from their beginning whenever the work is gone on with. So they hold the
 * same whenever the process was killed. When all is done, `OUTPUT.summary.json` stands in the journal's place.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { ExplainConfig } from '../../config/index.js'
import { type Columns, createRowWriter, type RowWriter } from '../../data/index.js'
import { lockFolder, RunError, writeFileAtomic } from '../../runs/index.js'
import { Journal } from '../shared/journal.js'
import type { FinishedBatch } from './selection.js'

export interface Totals {
  rows: number
  failures: number
  /** Sum of the rewards of the rows. */
  rewards: number
}

interface Summary extends Totals {
  identity: string
}

interface Open {
  journal: Journal<FinishedBatch>
  rows: RowWriter
  /** Undefined while there are none. */
  failures: RowWriter | undefined
  unlock: () => Promise<void>
}

export class OutputFiles {
  readonly totals: Totals = { rows: 0, failures: 0, rewards: 0 }
  private opened: Open | undefined

  private constructor(
    /** Absolute. */
    readonly path: string,
    readonly failuresPath: string,
    private readonly identity: string,
  ) {}

  /**
   * @param identity of everything that the output depends on
   * @throws {RunError} the output holds something else, or another process is writing it
   */
  static async open(
    { path, failures }: ExplainConfig['output'],
    columns: Columns,
    identity: unknown,
  ): Promise<OutputFiles> {
    const output = resolve(path)
    const files = new OutputFiles(
      output,
      failures === null ? join(dirname(output), 'failures.jsonl') : resolve(failures),
      createHash('sha256').update(JSON.stringify(identity)).digest('hex'),
    )
    if (await files.wasFinished()) return files
    await files.begin(columns)
    return files
  }

  get isComplete(): boolean {
    return this.opened === undefined
  }

  /** That are done. */
  get batches(): number {
    return this.opened?.journal.length ?? 0
  }

  async append(batch: FinishedBatch): Promise<void> {
    await this.opened!.journal.append(batch)
    await this.write(batch)
  }

  async finish(): Promise<void> {
    const { rows, failures } = this.opened!
    await rows.finish()
    await failures?.finish()
    const summary: Summary = { ...this.totals, identity: this.identity }
    await writeFileAtomic(this.summaryFile, `${JSON.stringify(summary, null, 2)}\n`)
    await this.opened!.unlock()
    this.opened = undefined
    await rm(this.partial, { recursive: true, force: true })
  }

  /** Leaves what is not finished to be gone on with. */
  async close(): Promise<void> {
    if (this.opened === undefined) return
    const { rows, failures, unlock } = this.opened
    this.opened = undefined
    await rows.abandon()
    await failures?.abandon()
    await unlock()
  }

  private get partial(): string {
    return `${this.path}.partial`
  }
  private get summaryFile(): string {
    return `${this.path}.summary.json`
  }

  private async wasFinished(): Promise<boolean> {
    const text = await readFile(this.summaryFile, 'utf8').catch(() => undefined)
    if (text === undefined || !(await exists(this.path))) return false
    const { identity, ...totals } = JSON.parse(text) as Summary
    if (identity !== this.identity)
      throw new RunError(
        `${this.path} holds explanations of another configuration, other models or other data. Remove it with ` +
          `${this.summaryFile}, or write to another file: --set output.path=…`,
      )
    Object.assign(this.totals, totals)
    // Left where the process was killed after its last stroke of work.
    await rm(this.partial, { recursive: true, force: true })
    return true
  }

  private async begin(columns: Columns): Promise<void> {
    const journalFile = join(this.partial, 'journal.jsonl')
    if (!(await exists(journalFile))) {
      await refuseToOverwrite(this.path, 'output.path')
      await refuseToOverwrite(this.failuresPath, 'output.failures')
    }
    await mkdir(this.partial, { recursive: true }).catch(error => {
      throw new RunError(`${this.partial} cannot be made: ${(error as Error).message}`, { cause: error })
    })
    const unlock = await lockFolder(this.partial)
    try {
      const journal = await Journal.open<FinishedBatch>(journalFile, this.identity)
      const partial = join(this.partial, 'output')
      const rows = await createRowWriter(this.path, columns, { growing: true, partial })
      this.opened = { journal, rows, failures: undefined, unlock }
      for await (const batch of journal.entries()) await this.write(batch)
    } catch (error) {
      await unlock()
      throw error
    }
  }

  private async write({ rows, failures }: FinishedBatch): Promise<void> {
    const opened = this.opened!
    await opened.rows.write(rows)
    if (failures.length > 0) {
      opened.failures ??= await createRowWriter(this.failuresPath, {}, { growing: true })
      await opened.failures.write(failures)
    }
    this.totals.rows += rows.length
    this.totals.failures += failures.length
    this.totals.rewards += rows.reduce((sum, row) => sum + (row.reward as number), 0)
  }
}

async function refuseToOverwrite(file: string, option: string): Promise<void> {
  if (await exists(file))
    throw new RunError(`${file} exists already. Remove it, or name another file: --set ${option}=…`)
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
