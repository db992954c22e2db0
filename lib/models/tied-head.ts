/** Models whose output projection is the embedding, and whose files hold an output projection all the same. */
import { open } from 'node:fs/promises'
import { ModelError } from '../errors.js'
import type { WeightEntry } from './weight-table.js'

const chunkBytes = 8 * 1024 * 1024

/**
 * A copy of the embedding is as good as none. With anything else it cannot be told whether the configuration or the
 * file is right, and versions of transformers differ in which they believe.
 * @throws {ModelError} when the two are not the same, bit for bit
 */
export async function refuseOtherHead(embedding: WeightEntry, head: WeightEntry): Promise<void> {
  const alike = embedding.type === head.type && embedding.byteLength === head.byteLength
  if (alike && (await sameBytes(embedding, head))) return
  throw new ModelError(
    `${head.file}: ${head.name} is not the same as ${embedding.name}, though config.json has tie_word_embeddings. ` +
      'If this model was trained with an output projection of its own, set tie_word_embeddings to false there; ' +
      'otherwise save the model again without it.',
  )
}

async function sameBytes(a: WeightEntry, b: WeightEntry): Promise<boolean> {
  const first = await open(a.file, 'r')
  const second = await open(b.file, 'r').catch(async error => {
    await first.close()
    throw error
  })
  try {
    const one = Buffer.alloc(chunkBytes)
    const other = Buffer.alloc(chunkBytes)
    for (let done = 0; done < a.byteLength; done += chunkBytes) {
      const length = Math.min(chunkBytes, a.byteLength - done)
      await first.read(one, 0, length, a.offset + done)
      await second.read(other, 0, length, b.offset + done)
      if (!one.subarray(0, length).equals(other.subarray(0, length))) return false
    }
    return true
  } finally {
    await first.close()
    await second.close()
  }
}
