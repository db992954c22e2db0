import { type FileHandle, open } from 'node:fs/promises'
import { jsonLine, type OutputRow, type RowWriter } from './row-writer.js'
import { TemporaryFile } from './temporary.js'

export class JsonLinesWriter implements RowWriter {
  private constructor(
    private readonly handle: FileHandle,
    /** Undefined for a file that grows under its own name. */
    private readonly temporary: TemporaryFile | undefined,
  ) {}

  static async create(file: string, growing: boolean, partial?: string): Promise<JsonLinesWriter> {
    if (growing) return new JsonLinesWriter(await open(file, 'w'), undefined)
    const temporary = await TemporaryFile.create(file, partial)
    return new JsonLinesWriter(temporary.handle, temporary)
  }

  async write(rows: readonly OutputRow[]): Promise<void> {
    if (rows.length > 0) await this.handle.appendFile(rows.map(jsonLine).join(''))
  }

  async finish(): Promise<void> {
    if (this.temporary) return this.temporary.keep()
    await this.handle.sync()
    await this.handle.close()
  }

  async abandon(): Promise<void> {
    if (this.temporary) return this.temporary.discard()
    await this.handle.close()
  }
}
