/**
 * What a stage that goes batch by batch has done: JSON Lines that are only ever added to, one line a batch, so that a
 * batch is in it wholly or not at all. The first line says what it is a journal of.
 */
import { createReadStream } from 'node:fs'
import { truncate } from 'node:fs/promises'
import { readLines } from '../../data/index.js'
import { appendDurably, RunError } from '../../runs/index.js'

interface Header {
  version: 1
  /** Of everything that the entries depend on. */
  identity: string
}

export class Journal<Entry> {
  private constructor(
    readonly file: string,
    /** Entries that are on the disk. */
    private count: number,
  ) {}

  /**
   * Goes on with a journal, or begins one. A last line that is not whole, because the process was killed in its midst,
   * is cut off.
   * @param identity of everything that the entries depend on
   * @throws {RunError} the journal is of something else, or damaged
   */
  static async open<Entry>(file: string, identity: string): Promise<Journal<Entry>> {
    const { lines, bytes } = await wholeLines(file)
    if (lines === 0) {
      await truncate(file).catch(ignoreMissing)
      const header: Header = { version: 1, identity }
      await appendDurably(file, `${JSON.stringify(header)}\n`)
      return new Journal(file, 0)
    }
    await truncate(file, bytes)
    const journal = new Journal<Entry>(file, lines - 1)
    const { value } = await journal.values().next()
    const found = value as Header | undefined
    if (found?.version !== 1 || found.identity !== identity)
      throw new RunError(
        `${file} was begun with another configuration, with other models or other data. Put them back as they were ` +
          'to go on, write to another output, or remove it to begin anew.',
      )
    return journal
  }

  /** Entries that are on the disk. */
  get length(): number {
    return this.count
  }

  /** When it returns, the entry is on the disk. */
  async append(entry: Entry): Promise<void> {
    await appendDurably(this.file, `${JSON.stringify(entry)}\n`)
    this.count++
  }

  async *entries(): AsyncGenerator<Entry> {
    let first = true
    for await (const value of this.values()) {
      if (!first) yield value as Entry
      first = false
    }
  }

  private async *values(): AsyncGenerator<unknown> {
    for await (const { line, number } of readLines(this.file)) {
      try {
        yield JSON.parse(line)
      } catch (error) {
        throw new RunError(`${this.file}:${number}: the journal is damaged: ${(error as Error).message}`, {
          cause: error,
        })
      }
    }
  }
}

async function wholeLines(file: string): Promise<{ lines: number; bytes: number }> {
  let [lines, bytes, position] = [0, 0, 0]
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) {
        lines++
        bytes = position + at + 1
      }
      position += chunk.length
    }
  } catch (error) {
    ignoreMissing(error as NodeJS.ErrnoException)
  }
  return { lines, bytes }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
