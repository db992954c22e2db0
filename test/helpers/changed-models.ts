/** Tiny models with other sizes than their fixtures have, and random tokens for them. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { Model } from '../../lib/engine/index.js'
import { type Architecture, modelFolder, temporaryFolder } from './engine.js'

/** A tiny model that takes sequences of 4,096 tokens. */
export async function loadLong(
  t: ExecutionContext,
  name: Architecture,
  dtype: 'float32' | 'bfloat16' = 'float32',
): Promise<Model> {
  const folder = await copyOf(t, name, { max_position_embeddings: 4096 })
  return load(t, folder, dtype)
}

/** A folder with a tiny model whose configuration says something else. */
export async function copyOf(t: ExecutionContext, name: Architecture, changes: Record<string, unknown>) {
  const folder = await temporaryFolder(t)
  await cp(modelFolder(name), folder, { recursive: true })
  const file = join(folder, 'config.json')
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...changes }))
  return folder
}

export async function load(
  t: ExecutionContext,
  folder: string,
  dtype: 'float32' | 'bfloat16',
): Promise<Model> {
  const model = await Model.load(folder, { dtype, device: 'cpu', trainable: true })
  t.teardown(() => model.dispose())
  return model
}

/** Uniform in [0, 1): a linear congruential generator (Numerical Recipes), the same numbers for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Of the ordinary tokens, which begin at 3. */
export function randomTokens(length: number, vocabulary: number, seed: number): number[] {
  const random = randomNumbers(seed)
  return Array.from({ length }, () => 3 + Math.floor(random() * (vocabulary - 3)))
}
