/**
 * The folder of an evaluation. While the work goes on, what is done is in journal.jsonl; outputs.jsonl is made of it, from
 * its beginning whenever the work is gone on with, so that it holds the same whenever the process was killed. When all is
 * done, summary.json stands in the journal's place.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createRowWriter, type RowWriter, readLines } from '../../data/index.js'
import { lockFolder, RunError, writeFileAtomic } from '../../runs/index.js'
import { Journal } from '../shared/journal.js'

export interface GradedSample {
  text: string
  /** What was taken for the answer; null if nothing was found. */
  extracted: string | null
  correct: boolean
  finish: 'stop' | 'length'
  tokens: number | null
  failure?: string
}

/** A line of outputs.jsonl. */
export interface GradedQuestion {
  model: string
  task: string
  /** In the task, from 0. */
  place: number
  origin: string
  question: string
  answer: string
  samples: GradedSample[]
}

type Batch = GradedQuestion[]

interface Open {
  journal: Journal<Batch>
  outputs: RowWriter
  unlock: () => Promise<void>
}

export class EvaluationOutput {
  /** That are done. */
  readonly graded: GradedQuestion[] = []
  private opened: Open | undefined
  private readonly samples = { all: 0, right: 0 }

  private constructor(
    readonly folder: string,
    private readonly identity: string,
  ) {}

  /**
   * @param identity of everything that the answers depend on
   * @throws {RunError} the folder holds something else, or another process is writing to it
   */
  static async open(folder: string, identity: unknown): Promise<EvaluationOutput> {
    const hash = createHash('sha256').update(JSON.stringify(identity)).digest('hex')
    const output = new EvaluationOutput(resolve(folder), hash)
    await mkdir(output.folder, { recursive: true }).catch(error => {
      throw new RunError(`${output.folder} cannot be made: ${(error as Error).message}`, { cause: error })
    })
    if (!(await output.wasFinished())) await output.begin()
    return output
  }

  get isComplete(): boolean {
    return this.opened === undefined
  }

  get batches(): number {
    return this.opened?.journal.length ?? 0
  }

  /** Share of right samples of all that are graded; null if there are none. */
  get accuracy(): number | null {
    return this.samples.all === 0 ? null : this.samples.right / this.samples.all
  }

  get outputsFile(): string {
    return join(this.folder, 'outputs.jsonl')
  }

  async append(batch: Batch): Promise<void> {
    await this.opened!.journal.append(batch)
    await this.take(batch)
  }

  async finish(summary: object): Promise<void> {
    const { outputs, unlock } = this.opened!
    await outputs.finish()
    await this.writeSummary(summary)
    await unlock()
    this.opened = undefined
    await rm(this.journalFile, { force: true })
  }

  /** Other figures of the same answers: other k, other intervals. */
  async writeSummary(summary: object): Promise<void> {
    const content = { ...summary, identity: this.identity }
    await writeFileAtomic(this.summaryFile, `${JSON.stringify(content, null, 2)}\n`)
  }

  /** Leaves what is not finished to be gone on with. */
  async close(): Promise<void> {
    if (this.opened === undefined) return
    const { outputs, unlock } = this.opened
    this.opened = undefined
    await outputs.abandon()
    await unlock()
  }

  private get journalFile(): string {
    return join(this.folder, 'journal.jsonl')
  }
  private get summaryFile(): string {
    return join(this.folder, 'summary.json')
  }

  private async wasFinished(): Promise<boolean> {
    const text = await readFile(this.summaryFile, 'utf8').catch(() => undefined)
    if (text === undefined) return false
    const { identity } = JSON.parse(text) as { identity?: string }
    if (identity !== this.identity)
      throw new RunError(
        `${this.folder} holds an evaluation of other models, tasks or settings. Remove it, or write to another folder: ` +
          '--set output.folder=…',
      )
    for await (const { line } of readLines(this.outputsFile)) this.graded.push(JSON.parse(line))
    // Left where the process was killed after its last stroke of work.
    await rm(this.journalFile, { force: true })
    return true
  }

  private async begin(): Promise<void> {
    const known = await exists(this.journalFile)
    if (!known && (await exists(this.outputsFile)))
      throw new RunError(
        `${this.outputsFile} exists already. Remove it, or write to another folder: --set output.folder=…`,
      )
    const unlock = await lockFolder(this.folder)
    try {
      const journal = await Journal.open<Batch>(this.journalFile, this.identity)
      const outputs = await createRowWriter(this.outputsFile, {}, { growing: true })
      this.opened = { journal, outputs, unlock }
      for await (const batch of journal.entries()) await this.take(batch)
    } catch (error) {
      await unlock()
      throw error
    }
  }

  private async take(batch: Batch): Promise<void> {
    await this.opened!.outputs.write(batch.map(row => ({ ...row })))
    this.graded.push(...batch)
    for (const { samples } of batch) {
      this.samples.all += samples.length
      this.samples.right += samples.filter(({ correct }) => correct).length
    }
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
