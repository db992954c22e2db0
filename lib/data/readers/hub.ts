/** Data sets of the hub, read from the cache folder that all of Hugging Face's libraries share. */
import { downloadFileToCacheDir, listFiles } from '@huggingface/hub'
import type { DataSource } from '../../config/index.js'
import { nearest } from '../../config/suggest.js'
import { AbortedError, DataError } from '../../errors.js'

const extensions = /\.(parquet|jsonl|ndjson|json|csv)$/i

/**
 * The files of one split on this machine, fetched if they are not there yet, in the order of their names.
 *
 * A repository's own files are taken if their paths name the split (train.jsonl, data/train-00000-of-00002.parquet,
 * CONFIG/train/0.parquet); else the hub's conversion to Parquet, which it keeps of public data sets.
 * @throws {DataError} no such data set, split or configuration, or it cannot be fetched
 */
export async function hubFiles(source: DataSource, path: string, signal?: AbortSignal): Promise<string[]> {
  const [name = '', revision] = source.hub!.split('@')
  const repo = { type: 'dataset', name } as const
  const accessToken = process.env.HF_TOKEN
  const connection = {
    ...(accessToken ? { accessToken } : {}),
    ...(process.env.HF_ENDPOINT ? { hubUrl: process.env.HF_ENDPOINT } : {}),
    fetch: ((url, init) => fetch(url, { ...init, ...(signal ? { signal } : {}) })) as typeof fetch,
  }
  const list = async (at: string | undefined): Promise<string[]> => {
    const paths: string[] = []
    for await (const entry of listFiles({
      repo,
      recursive: true,
      ...(at ? { revision: at } : {}),
      ...connection,
    }))
      if (entry.type === 'file' && extensions.test(entry.path)) paths.push(entry.path)
    return paths.sort()
  }
  try {
    const own = await list(revision)
    let at = revision
    let chosen = ofSplit(own, source.split, source.config)
    if (chosen.length === 0 && revision === undefined) {
      at = 'refs/convert/parquet'
      chosen = ofSplit(await list(at).catch(() => []), source.split, source.config ?? 'default')
    }
    if (chosen.length === 0) throw noSuchSplit(source, path, own)
    const files: string[] = []
    for (const file of chosen)
      files.push(
        await downloadFileToCacheDir({ repo, path: file, ...(at ? { revision: at } : {}), ...connection }),
      )
    return files
  } catch (error) {
    if (signal?.aborted) throw new AbortedError(undefined, { cause: error })
    if (error instanceof DataError) throw error
    throw new DataError(
      `${path}: the data set ${source.hub} cannot be fetched from the hub: ${(error as Error).message}\n` +
        'Check its name; a private or gated one needs $HF_TOKEN. A local copy can be named by path.',
      { cause: error },
    )
  }
}

/** The files whose path names the split, beneath the configuration's folder if one is asked for. */
export function ofSplit(paths: readonly string[], split: string, config: string | null): string[] {
  const escaped = split.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const naming = new RegExp(`(^|[/._-])${escaped}([/._-])`)
  const named = paths.filter(path => naming.test(path))
  const beneath = config === null ? named : named.filter(path => path.split('/').includes(config))
  // One format: a repository can hold the same rows in several.
  const best = ['.parquet', '.jsonl', '.ndjson', '.csv', '.json'].find(end =>
    beneath.some(path => path.endsWith(end)),
  )
  return best === undefined ? [] : beneath.filter(path => path.endsWith(best))
}

function noSuchSplit(source: DataSource, path: string, paths: readonly string[]): DataError {
  const words = new Set(paths.flatMap(file => file.split(/[/._-]/)))
  const meant = nearest(source.split, words)
  const where = source.config === null ? '' : ` of the configuration ${source.config}`
  return new DataError(
    `${path}: the data set ${source.hub} has no file of the split ${source.split}${where}; ` +
      `${paths.length === 0 ? 'there are no data files' : `there are ${paths.slice(0, 12).join(', ')}${paths.length > 12 ? ', …' : ''}`}.` +
      `${meant && meant !== source.split ? `\nDid you mean ${path}.split: ${meant}?` : ''}`,
  )
}
