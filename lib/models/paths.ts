/** Where rlt keeps what it downloads, and the guard for names of files that come from others. */
import { homedir } from 'node:os'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { ModelError } from '../errors.js'

/** $RLT_CACHE, else rlt in $XDG_CACHE_HOME, else ~/.cache/rlt. */
export function cacheFolder(): string {
  return process.env.RLT_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rlt')
}

/**
 * The path of `name` within `folder`.
 * @param source who gave the name, for the message
 * @throws {ModelError} when it would lie outside
 */
export function fileInside(folder: string, name: string, source: string): string {
  const path = resolve(folder, name)
  const steps = relative(folder, path)
  if (isAbsolute(name) || /\\|\0/.test(name) || steps === '' || steps.startsWith('..') || isAbsolute(steps))
    throw new ModelError(
      `${source} names the file ${JSON.stringify(name)}, which lies outside its folder: refused`,
    )
  return path
}
