/**
 * Writes that survive a crash: to a temporary name, flushed to the disk, renamed. A reader finds the whole old file or
 * the whole new one; after {@link flushFolder} also when the power was cut.
 */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'

export async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}.${randomBytes(4).toString('hex')}.partial`
  try {
    await writeAndFlush(temporary, 'wx', content)
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error is the one to report
    throw error
  }
}

export async function writeAndFlush(
  file: string,
  flags: string,
  content: string | Uint8Array,
): Promise<void> {
  await withFile(file, flags, async handle => {
    await handle.writeFile(content)
    await handle.sync()
  })
}

/** A rename is on the disk only when its folder is. */
export async function flushFolder(folder: string): Promise<void> {
  await withFile(folder, 'r', handle => handle.sync())
}

export async function withFile<T>(
  file: string,
  flags: string,
  use: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const handle = await open(file, flags)
  try {
    return await use(handle)
  } finally {
    await handle.close()
  }
}
