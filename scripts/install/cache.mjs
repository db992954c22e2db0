import { statfs } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { InstallError } from './errors.mjs'

/** The per-user cache: RLT_CACHE, else XDG_CACHE_HOME/rlt, else ~/.cache/rlt. */
export function cacheFolder(env = process.env) {
  if (env.RLT_CACHE) return path.resolve(env.RLT_CACHE)
  if (env.XDG_CACHE_HOME) return path.resolve(env.XDG_CACHE_HOME, 'rlt')
  return path.join(env.HOME || os.homedir(), '.cache', 'rlt')
}

/** Free bytes that this user may write under `folder`, which must exist. */
export async function freeBytes(folder) {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** Throws unless `needed` bytes are free under `folder`. */
export async function requireDiskSpace(folder, needed, what, free = undefined) {
  const available = free ?? (await freeBytes(folder))
  if (available >= needed) return
  throw new InstallError(
    'NO_DISK_SPACE',
    `${what} needs ${gigabytes(needed)} in ${folder}, but only ${gigabytes(available)} are free.`,
    [
      'Free some space and run the same command again: what is already downloaded is kept.',
      'Or use another disk: RLT_CACHE=/path/with/space npm run build:native',
    ],
  )
}

function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(1)} GB`
}
