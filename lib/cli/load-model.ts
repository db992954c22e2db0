import type { Model } from '../engine/index.js'
import { showDownloads } from './downloads.js'
import { interrupted } from './interrupt.js'
import type { ModelArguments } from './options.js'

/** Loads the model that a command names, fetching it first where it is not on this machine yet. */
export async function loadModel(
  name: string,
  { dtype, device, threads, adapter }: ModelArguments,
): Promise<Model> {
  const [{ Model }, { resolveModel }] = await Promise.all([
    import('../engine/index.js'),
    import('../models/index.js'),
  ])
  const files = await resolveModel(name, { signal: interrupted, onProgress: showDownloads() })
  return Model.load(files, { dtype, device, threads, adapter, signal: interrupted })
}
