/**
 * The cache folder that all of Hugging Face's libraries share:
 *   models--org--name/refs/main                      the commit that a branch or tag stood for when last asked
 *   models--org--name/snapshots/COMMIT/config.json   a link to
 *   models--org--name/blobs/HASH                     the content
 */
import { randomBytes } from 'node:crypto'
import { access, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { getHFHubCachePath, getRepoFolderName } from '@huggingface/hub'
import { writeWhole } from '../files.js'
import { fileInside } from './paths.js'
import { readShardIndex } from './shard-index.js'

/** One repository's part of the cache. */
export class RepositoryCache {
  readonly folder: string

  constructor(type: 'model' | 'dataset', id: string, cacheFolder: string = getHFHubCachePath()) {
    this.folder = join(cacheFolder, getRepoFolderName({ type, name: id }))
  }

  /** @returns the commit's snapshot folder, whether or not it exists */
  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit)
  }

  blob(hash: string): string {
    return fileInside(join(this.folder, 'blobs'), hash, 'the hub')
  }

  /** The commit that `revision` is known to stand for; a full commit hash stands for itself. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (/^[0-9a-f]{40}$/.test(revision)) return revision
    const file = fileInside(join(this.folder, 'refs'), revision, 'the revision')
    const commit = await readFile(file, 'utf8').catch(() => '')
    return /^[0-9a-f]{40}$/.test(commit.trim()) ? commit.trim() : undefined
  }

  async rememberCommit(revision: string, commit: string): Promise<void> {
    if (revision === commit) return
    const file = fileInside(join(this.folder, 'refs'), revision, 'the revision')
    await mkdir(dirname(file), { recursive: true })
    await writeWhole(file, commit)
  }

  /** Makes `path` of a snapshot a link to a blob. */
  async link(commit: string, path: string, hash: string): Promise<void> {
    const file = fileInside(this.snapshot(commit), path, 'the hub')
    await mkdir(dirname(file), { recursive: true })
    const temporary = `${file}.${randomBytes(4).toString('hex')}`
    await symlink(relative(dirname(file), this.blob(hash)), temporary)
    // By renaming, since another process may just have made the same link.
    await rename(temporary, file).catch(async error => {
      await rm(temporary, { force: true })
      throw error
    })
  }

  async has(commit: string, path: string): Promise<boolean> {
    return exists(fileInside(this.snapshot(commit), path, 'the hub'))
  }

  /** Whether configuration, tokenizer and every shard of the weights are there. */
  async isComplete(commit: string): Promise<boolean> {
    const folder = this.snapshot(commit)
    if (!(await exists(join(folder, 'config.json')))) return false
    if (await exists(join(folder, 'model.safetensors'))) return true
    const index = await readShardIndex(folder).catch(() => undefined)
    const shards = [...new Set(index?.values())]
    const present = await Promise.all(shards.map(shard => exists(join(folder, shard))))
    return shards.length > 0 && present.every(Boolean)
  }
}

export function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
