import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AbortedError } from '../errors.js'
import { flushFolder, writeWhole } from '../files.js'
import { byteLength, copyModelSidecars, safetensorsHeader } from '../models/index.js'
import { callAddon, callAddonNow, type TensorDescription } from './addon.js'
import type { Model } from './model.js'

export interface SaveOptions {
  /** Weights are split into files of at most this size. Default 5 GB, as transformers does. */
  maxShardBytes?: number
  signal?: AbortSignal | undefined
}

/** What can write some of its tensors to a file: a model, an optimizer. */
export interface TensorWriter {
  writeTensors(file: string, header: Uint8Array, byteLength: number, names: string[]): Promise<void>
}

/** Writes tensors to a safetensors file under a temporary name and renames it. */
export async function writeSafetensorsFile(
  writer: TensorWriter,
  file: string,
  tensors: readonly TensorDescription[],
  metadata: Record<string, string>,
): Promise<void> {
  const { header, byteLength: total } = safetensorsHeader([...tensors], metadata)
  const temporary = `${file}.partial`
  try {
    await callAddon(() =>
      writer.writeTensors(
        temporary,
        header,
        total,
        tensors.map(tensor => tensor.name),
      ),
    )
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error is the one to report
    throw error
  }
}

export async function saveModel(
  model: Model,
  folder: string,
  { maxShardBytes = 5e9, signal }: SaveOptions,
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const shards = splitIntoShards(
    callAddonNow(() => model.native.tensors()),
    maxShardBytes,
  )
  const weightMap: Record<string, string> = {}
  for (const [index, shard] of shards.entries()) {
    if (signal?.aborted) throw new AbortedError(undefined, { cause: signal.reason })
    const part = (n: number) => String(n).padStart(5, '0')
    const name =
      shards.length === 1
        ? 'model.safetensors'
        : `model-${part(index + 1)}-of-${part(shards.length)}.safetensors`
    await writeSafetensorsFile(model.native, join(folder, name), shard, { format: 'pt' })
    for (const tensor of shard) weightMap[tensor.name] = name
  }
  if (shards.length > 1) {
    const total = shards.flat().reduce((sum, tensor) => sum + byteLength(tensor), 0)
    const file = join(folder, 'model.safetensors.index.json')
    const index = { metadata: { total_size: total }, weight_map: weightMap }
    await writeWhole(file, `${JSON.stringify(index, undefined, 2)}\n`)
  }
  await removeStaleWeights(folder, new Set(Object.values(weightMap)), shards.length > 1)
  await copyModelSidecars(model.files, folder, { dtype: model.dtype })
  await flushFolder(folder)
}

/** Weights of an earlier save in other files: a reader that found them would take them for these. */
async function removeStaleWeights(
  folder: string,
  written: ReadonlySet<string>,
  sharded: boolean,
): Promise<void> {
  for (const name of await readdir(folder)) {
    const weights = /^model(-\d{5}-of-\d{5})?\.safetensors$/.test(name) && !written.has(name)
    if (weights || (name === 'model.safetensors.index.json' && !sharded)) await rm(join(folder, name))
  }
}

function splitIntoShards(
  tensors: readonly TensorDescription[],
  maxShardBytes: number,
): TensorDescription[][] {
  const shards: TensorDescription[][] = [[]]
  let held = 0
  for (const tensor of tensors) {
    const size = byteLength(tensor)
    if (held > 0 && held + size > maxShardBytes) {
      shards.push([])
      held = 0
    }
    shards.at(-1)!.push(tensor)
    held += size
  }
  return shards
}
