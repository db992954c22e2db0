/**
 * One process at a time works in a run folder. The lock is a file that names its process, so that one left behind by
 * a killed process is recognised and taken over.
 */
import { randomBytes } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { RunError } from './errors.js'

interface Owner {
  pid: number
  host: string
  /** When the process started, in clock ticks since boot: tells a process from a later one with the same id. */
  processStart: string | null
  since: string
}

/**
 * @returns a function that releases the lock
 * @throws {RunError} if a living process, or one on another host, holds it
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const file = join(folder, 'run.lock')
  const unique = () => `${file}.${process.pid}-${randomBytes(4).toString('hex')}`
  const mine = JSON.stringify({
    pid: process.pid,
    host: hostname(),
    processStart: await processStart(process.pid),
    since: new Date().toISOString(),
  } satisfies Owner)

  const candidate = unique()
  await writeFile(candidate, mine, { flag: 'wx' })
  try {
    for (;;) {
      // Linking is atomic and fails if there is a lock, and the lock has its content from the first instant on.
      const taken = await link(candidate, file).then(
        () => true,
        error => {
          if (error.code !== 'EEXIST') throw error
          return false
        },
      )
      if (taken) break
      const held = await readFile(file, 'utf8').catch(() => undefined)
      if (held === undefined) continue // released meanwhile
      await refuseIfAlive(folder, file, held)
      const aside = unique()
      await rename(file, aside).catch(() => {}) // another process may have been quicker
      const removed = await readFile(aside, 'utf8').catch(() => undefined)
      // Between reading and renaming, the stale lock may have been replaced by a good one: that one goes back.
      if (removed !== undefined && removed !== held) await link(aside, file).catch(() => {})
      await rm(aside, { force: true })
    }
  } finally {
    await rm(candidate, { force: true })
  }

  return async () => {
    const held = await readFile(file, 'utf8').catch(() => undefined)
    if (held === mine) await rm(file, { force: true })
  }
}

async function refuseIfAlive(folder: string, file: string, held: string): Promise<void> {
  let owner: Owner
  try {
    owner = JSON.parse(held)
  } catch {
    return // not written by this program: the file is complete as soon as it exists
  }
  if (owner.host !== hostname())
    throw new RunError(
      `${folder} is in use by process ${owner.pid} on ${owner.host} since ${owner.since}. ` +
        `If that process is gone, remove ${file} and try again.`,
    )
  if (await isAlive(owner))
    throw new RunError(
      `${folder} is in use by process ${owner.pid} since ${owner.since}. ` +
        'Wait for it or stop it, or write elsewhere (output in the configuration)',
    )
}

async function isAlive({ pid, processStart: start }: Owner): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: the process exists and is another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  const current = await processStart(pid)
  return start === null || current === null || start === current
}

/** Field 22 of /proc/PID/stat; null where there is no such file. The second field, the name, may hold spaces. */
async function processStart(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
}
