/** Models of the hub, in the cache folder that all of Hugging Face's libraries share. */
import { join } from 'node:path'
import { snapshotDownload } from '@huggingface/hub'
import { AbortedError, ModelError } from '../errors.js'
import type { ModelFiles, ResolveOptions } from './source.js'

export async function pullFromHub(
  id: string,
  revision: string | undefined,
  { token = process.env.HF_TOKEN, cacheFolder, signal }: ResolveOptions,
): Promise<ModelFiles> {
  try {
    const folder = await snapshotDownload({
      repo: { type: 'model', name: id },
      revision,
      cacheDir: cacheFolder,
      ...(token ? { accessToken: token } : {}),
      fetch: (url, init) => fetch(url, { ...init, signal }),
    })
    return { kind: 'folder', folder: join(folder), revision: folder.split('/').at(-1) }
  } catch (error) {
    if (signal?.aborted) throw new AbortedError(undefined, { cause: error })
    throw new ModelError(`${id} cannot be fetched from the hub: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
