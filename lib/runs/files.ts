/** Durable writes into a run folder; what goes wrong is said with what to do. */
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { flushFolder, withFile, writeAndFlush, writeWhole } from '../files.js'
import { RunError } from './errors.js'

/** After a power cut a reader finds either the whole old file or the whole new one. */
export async function writeFileAtomic(file: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeWhole(file, content)
    await flushFolder(dirname(file))
  } catch (error) {
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

/** Flushes every file and folder at and beneath `folder`. */
export async function flushTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await flushTree(path)
    else if (entry.isFile()) await withFile(path, 'r', handle => handle.sync())
  }
  await flushFolder(folder)
}

function cannotWrite(file: string, error: unknown): RunError {
  const { code, message } = error as NodeJS.ErrnoException
  const reason =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'the disk is full (or a quota is used up); free some space, then go on with the run'
      : code === 'EACCES' || code === 'EROFS' || code === 'EPERM'
        ? 'this user may not write there; write elsewhere (output in the configuration)'
        : message
  return new RunError(`${file} cannot be written: ${reason}`, { cause: error })
}
