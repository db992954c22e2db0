/** Data sets of the hub: the files of one split, fetched into the cache folder that Hugging Face's libraries share. */
import { readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { datasetInfo, HubApiError, type ListFileEntry, listFiles } from '@huggingface/hub'
import type { RowSource } from '../../config/index.js'
import { AbortedError, DataError } from '../../errors.js'
import {
  type DownloadProgress,
  downloadBlob,
  hashOf,
  hubConnection,
  isNetworkFailure,
  isOffline,
  RepositoryCache,
} from '../../models/index.js'
import { chooseFiles, noSuchSplit, type SplitFiles } from './hub-split.js'

export interface HubOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: DownloadProgress) => void) | undefined
}

/** Where the hub keeps its own conversion to Parquet of a public data set, whatever its files are like. */
const parquetBranch = 'refs/convert/parquet'

/**
 * The files on this machine, in the order of their names.
 *
 * A repository's own files are taken if their paths name the split (train.jsonl, data/train-00000-of-00002.parquet,
 * CONFIG/train/0.parquet); else the hub's conversion to Parquet.
 * @param path of the source in the configuration, for messages
 * @throws {DataError} no such data set, split or configuration, or it cannot be fetched
 */
export async function hubFiles(source: RowSource, path: string, options: HubOptions): Promise<string[]> {
  const [name = '', revision] = source.hub!.split('@')
  const cache = new RepositoryCache('dataset', name)
  const revisions = revision === undefined ? ['main', parquetBranch] : [revision]
  const named = `${path}: the data set ${source.hub}`
  if (isOffline({})) {
    const cached = await cachedFiles(source, revisions, cache)
    if (cached) return cached
    throw new DataError(`${named} is not complete in ${cache.folder}, and the hub may not be asked (offline)`)
  }
  try {
    return await fetchFiles(source, name, revisions, cache, path, options)
  } catch (error) {
    if (options.signal?.aborted) throw new AbortedError(undefined, { cause: error })
    // Without a network, what was fetched earlier will do.
    const cached = isNetworkFailure(error) ? await cachedFiles(source, revisions, cache) : undefined
    if (cached) return cached
    throw error instanceof DataError ? error : explain(error, named)
  }
}

async function fetchFiles(
  source: RowSource,
  name: string,
  revisions: readonly string[],
  cache: RepositoryCache,
  path: string,
  { signal, onProgress }: HubOptions,
): Promise<string[]> {
  const connection = await hubConnection(signal ? { signal } : {})
  const repo = { type: 'dataset', name } as const
  const seen: string[] = []
  for (const revision of revisions) {
    const found = await listRevision(name, revision, connection).catch(error => {
      // Not every data set has a conversion to Parquet.
      if (revision === parquetBranch && error instanceof HubApiError) return undefined
      throw error
    })
    if (found === undefined) continue
    const { commit, entries } = found
    seen.push(...entries.map(entry => entry.path))
    const chosen = chooseFiles(
      entries.map(entry => entry.path),
      source,
      path,
    )
    if (chosen === undefined) continue
    for (const entry of entries.filter(entry => chosen.includes(entry.path))) {
      if (await cache.has(commit, entry.path)) continue
      const hash = hashOf(entry)
      await downloadBlob(
        entry,
        cache.blob(hash),
        { ...connection, repo, revision: commit },
        {
          ...(signal ? { signal } : {}),
          ...(onProgress ? { onProgress } : {}),
        },
      )
      await cache.link(commit, entry.path, hash)
    }
    await cache.rememberCommit(revision, commit)
    return chosen.map(file => join(cache.snapshot(commit), file))
  }
  throw noSuchSplit(source, path, seen)
}

async function listRevision(
  name: string,
  revision: string,
  connection: Awaited<ReturnType<typeof hubConnection>>,
): Promise<{ commit: string; entries: ListFileEntry[] }> {
  const { sha: commit } = await datasetInfo({ ...connection, name, revision, additionalFields: ['sha'] })
  const entries: ListFileEntry[] = []
  const repo = { type: 'dataset', name } as const
  for await (const entry of listFiles({ ...connection, repo, revision: commit, recursive: true }))
    if (entry.type === 'file') entries.push(entry)
  return { commit, entries }
}

/** What an earlier fetch of the same revision left, if it is all of the split. */
async function cachedFiles(
  source: RowSource,
  revisions: readonly string[],
  cache: RepositoryCache,
): Promise<SplitFiles> {
  for (const revision of revisions) {
    const commit = await cache.commitOf(revision)
    if (commit === undefined) continue
    const snapshot = cache.snapshot(commit)
    const found = await readdir(snapshot, { recursive: true, withFileTypes: true }).catch(() => [])
    const paths = found
      .filter(entry => !entry.isDirectory())
      .map(entry => relative(snapshot, join(entry.parentPath, entry.name)).split(sep).join('/'))
    const chosen = chooseFiles(paths.sort(), source, '')
    if (chosen !== undefined && isComplete(chosen)) return chosen.map(file => join(snapshot, file))
  }
  return undefined
}

/** Shards say how many there are: train-00000-of-00003.parquet. */
function isComplete(paths: readonly string[]): boolean {
  const of = /-of-(\d+)\./.exec(paths[0] ?? '')?.[1]
  return of === undefined || paths.length === Number(of)
}

function explain(error: unknown, named: string): DataError {
  const { message, cause } = error as Error
  const say = (text: string) => new DataError(`${named}: ${text}`, { cause: error })
  if (isNetworkFailure(error))
    return say(
      `the hub cannot be reached (${(cause as Error | undefined)?.message ?? message}). Is there a network? ` +
        'A local copy can be named by path.',
    )
  const status = error instanceof HubApiError ? error.statusCode : undefined
  if (status === 404) return say('the hub has no such data set or revision. Is the name right?')
  if (status === 401 || status === 403)
    return say(
      'the hub refuses access. Is the name right? If the data set is gated, accept its terms on its page, then set ' +
        'HF_TOKEN (https://huggingface.co/settings/tokens)',
    )
  return say(`cannot be fetched: ${message}`)
}
