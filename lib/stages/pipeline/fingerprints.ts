/** What is in files, as hashes. A file of the same size and time of change is not read a second time. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

export interface KnownFile {
  bytes: number
  modified: number
  sha256: string
}

export class Fingerprints {
  private readonly used: Record<string, KnownFile> = {}

  constructor(private readonly known: Readonly<Record<string, KnownFile>>) {}

  /** Of a file, or of the files of a folder (what is in folders within it does not count); undefined if not there. */
  async of(path: string, signal?: AbortSignal): Promise<string | undefined> {
    const found = await stat(path).catch(() => undefined)
    if (found === undefined) return undefined
    if (!found.isDirectory()) return this.ofFile(path, found.size, found.mtimeMs, signal)
    const hash = createHash('sha256')
    for (const entry of (await readdir(path)).sort()) {
      const file = join(path, entry)
      const { size, mtimeMs, ...kind } = await stat(file).then(s => ({
        ...{ size: s.size, mtimeMs: s.mtimeMs, isFile: s.isFile() },
      }))
      if (kind.isFile) hash.update(`${entry}\0${await this.ofFile(file, size, mtimeMs, signal)}\n`)
    }
    return hash.digest('hex')
  }

  /** Of all files that were asked for. */
  toJSON(): Record<string, KnownFile> {
    return this.used
  }

  private async ofFile(
    file: string,
    bytes: number,
    modified: number,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const known = this.used[file] ?? this.known[file]
    if (known?.bytes === bytes && known.modified === modified) {
      this.used[file] = known
      return known.sha256
    }
    const hash = createHash('sha256')
    await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash, signal ? { signal } : {})
    const sha256 = hash.digest('hex')
    this.used[file] = { bytes, modified, sha256 }
    return sha256
  }
}
