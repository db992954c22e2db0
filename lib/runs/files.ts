/**
 * Writes that survive a crash: to a temporary name, flushed to the disk, renamed, the folder flushed too.
 * After a power cut a reader finds either the whole old file or the whole new one.
 */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { RunError } from './errors.js'

export async function writeFileAtomic(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`
  try {
    await writeAndFlush(temporary, 'wx', content)
    await rename(temporary, file)
    await flushFolder(dirname(file))
  } catch (error) {
    await rm(temporary, { force: true })
    throw cannotWrite(file, error)
  }
}

/** Appends and flushes: when it returns, the text is on the disk. */
export async function appendDurably(file: string, content: string): Promise<void> {
  try {
    await writeAndFlush(file, 'a', content)
  } catch (error) {
    throw cannotWrite(file, error)
  }
}

async function writeAndFlush(file: string, flags: string, content: string | Uint8Array) {
  await withFile(file, flags, async handle => {
    await handle.writeFile(content)
    await handle.sync()
  })
}

/** Flushes every file and folder at and beneath `folder`. */
export async function flushTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await flushTree(path)
    else if (entry.isFile()) await withFile(path, 'r', handle => handle.sync())
  }
  await flushFolder(folder)
}

/** A rename is on the disk only when its folder is. */
export async function flushFolder(folder: string): Promise<void> {
  await withFile(folder, 'r', handle => handle.sync())
}

async function withFile<T>(file: string, flags: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(file, flags)
  try {
    return await use(handle)
  } finally {
    await handle.close()
  }
}

function cannotWrite(file: string, error: unknown): RunError {
  const { code, message } = error as NodeJS.ErrnoException
  const reason =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'the disk is full (or a quota is used up); free some space, then go on with --resume'
      : code === 'EACCES' || code === 'EROFS' || code === 'EPERM'
        ? 'this user may not write there; choose another --set output.folder=…'
        : message
  return new RunError(`${file} cannot be written: ${reason}`, { cause: error })
}
