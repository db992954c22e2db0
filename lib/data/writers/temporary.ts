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

  /** @param partial where the file is until it is complete; one that is there from an earlier try is written over */
  static async create(
    file: string,
    partial = `${file}.${randomBytes(4).toString('hex')}.partial`,
  ): Promise<TemporaryFile> {
    return new TemporaryFile(file, partial, await open(partial, 'w'))
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
