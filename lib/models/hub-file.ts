/** One file of the hub into the cache: streamed, resumed where it broke off, checked, and only then given its name. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { downloadFile, type ListFileEntry } from '@huggingface/hub'
import { ModelError } from '../errors.js'
import { exists } from './hub-cache.js'
import type { HubConnection } from './hub-connection.js'
import type { ResolveOptions } from './source.js'

export interface DownloadParameters extends HubConnection {
  repo: { type: 'model' | 'dataset'; name: string }
  revision: string
}

/** The blob's name: the SHA-256 of a large file, git's own hash of a small one. */
export function hashOf(entry: ListFileEntry): string {
  const hash = entry.lfs?.oid ?? entry.oid
  if (hash && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)) return hash
  throw new ModelError(`The hub gives no usable hash for ${entry.path}: ${JSON.stringify(hash)}`)
}

/**
 * @param blob where the checked content goes
 * @throws {ModelError} when what came is not what the hub announced
 */
export async function downloadBlob(
  entry: ListFileEntry,
  blob: string,
  parameters: DownloadParameters,
  { signal, onProgress }: ResolveOptions,
): Promise<void> {
  if (await exists(blob)) return
  await mkdir(dirname(blob), { recursive: true })
  const leftover = `${blob}${incomplete}`
  const temporary = `${blob}.${randomBytes(4).toString('hex')}${incomplete}`
  await takeOver(blob, leftover, temporary)
  try {
    await append(entry, temporary, parameters, { signal, onProgress })
  } catch (error) {
    await rename(temporary, leftover).catch(() => {})
    throw error
  }
  const problem = await verify(entry, temporary)
  if (problem) {
    await rm(temporary, { force: true })
    throw new ModelError(`${entry.path} arrived damaged (${problem}). Try again.`)
  }
  await rename(temporary, blob)
}

const incomplete = '.rlt-incomplete'

/** A download that has not grown for so long belongs to a process that was killed. */
const abandonedAfterMs = 10 * 60 * 1000

/** What an earlier try left is claimed by renaming it: two processes never write to one file. */
async function takeOver(blob: string, leftover: string, temporary: string): Promise<void> {
  const folder = dirname(blob)
  const names = (await readdir(folder)).filter(
    name => name.startsWith(basename(blob)) && name.endsWith(incomplete),
  )
  for (const name of names) {
    const file = join(folder, name)
    const age = Date.now() - ((await stat(file).catch(() => undefined))?.mtimeMs ?? Date.now())
    if (file !== leftover && age < abandonedAfterMs) continue
    // Failing means that another process was quicker. Of several, the last one found stays.
    await rename(file, temporary).catch(() => {})
  }
}

async function append(
  entry: ListFileEntry,
  file: string,
  parameters: DownloadParameters,
  { signal, onProgress }: ResolveOptions,
): Promise<void> {
  let bytes = await stat(file).then(
    ({ size }) => size,
    () => 0,
  )
  if (bytes > entry.size) {
    await rm(file)
    bytes = 0
  }
  const report = () => onProgress?.({ file: entry.path, bytes, totalBytes: entry.size })
  report()
  if (bytes === entry.size && bytes > 0) return
  const content = await downloadFile({ ...parameters, path: entry.path })
  if (!content) throw new ModelError(`${entry.path} is listed by the hub, but is not there`)
  const rest = bytes > 0 ? content.slice(bytes) : content
  const count = new Transform({
    transform(chunk: Uint8Array, _, done) {
      bytes += chunk.length
      report()
      done(null, chunk)
    },
  })
  const body = Readable.fromWeb(rest.stream() as ReadableStream)
  await pipeline(body, count, createWriteStream(file, { flags: 'a' }), { signal })
  const handle = await open(file, 'r')
  await handle.sync().finally(() => handle.close())
}

/** @returns what is wrong, or undefined */
async function verify(entry: ListFileEntry, file: string): Promise<string | undefined> {
  const { size } = await stat(file)
  if (size !== entry.size) return `${size} bytes in place of ${entry.size}`
  // Git hashes a header with the content.
  const hash = entry.lfs ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
  await pipeline(createReadStream(file), hash)
  const found = hash.digest('hex')
  return found === hashOf(entry) ? undefined : `hash ${found} in place of ${hashOf(entry)}`
}
