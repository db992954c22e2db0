/** model.safetensors.index.json: which shard each tensor is in. */
import { join } from 'node:path'
import { ModelError } from '../errors.js'
import { isFields, readJsonFileIfPresent, show } from './fields.js'
import { fileInside } from './paths.js'

export const shardIndexName = 'model.safetensors.index.json'

/**
 * @returns tensors' names to shards' file names, which lie within `folder`; undefined where there is no index
 * @throws {ModelError} for an index that is damaged or names files elsewhere
 */
export async function readShardIndex(folder: string): Promise<Map<string, string> | undefined> {
  const file = join(folder, shardIndexName)
  const index = await readJsonFileIfPresent(file)
  if (!index) return undefined
  if (!isFields(index.weight_map))
    throw new ModelError(`${file}: weight_map: expected an object, got ${show(index.weight_map)}`)
  const shards = new Map<string, string>()
  for (const [tensor, shard] of Object.entries(index.weight_map)) {
    if (typeof shard !== 'string')
      throw new ModelError(`${file}: weight_map: ${tensor}: expected the name of a file, got ${show(shard)}`)
    fileInside(folder, shard, file)
    shards.set(tensor, shard)
  }
  return shards
}
