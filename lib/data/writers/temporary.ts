import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { flushFolder } from '../../files.js'

/** A file that is written piece by piece and appears under its name when it is complete. */
export class TemporaryFile {
  private constructor(
    private readonly file: string,
    private readonly partial: string,
    readonly handle: FileHandle,
  ) {}

  static async create(file: string): Promise<TemporaryFile> {
    const partial = `${file}.${randomBytes(4).toString('hex')}.partial`
    return new TemporaryFile(file, partial, await open(partial, 'wx'))
  }

  async keep(): Promise<void> {
    await this.handle.sync()
    await this.handle.close()
    await rename(this.partial, this.file)
    await flushFolder(dirname(this.file))
  }

  async discard(): Promise<void> {
    await this.handle.close()
    await rm(this.partial, { force: true })
  }
}
