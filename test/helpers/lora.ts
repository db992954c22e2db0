/** Adapters and figures of test/fixtures/engine/lora, written by scripts/fixtures/engine/lora.py. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { LoadOptions, Model } from '../../lib/engine/index.js'
import { readSafetensorsFile } from '../../lib/models/index.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { type Architecture, type Figures, loadTiny } from './engine.js'

const folder = join(packageRoot(), 'test/fixtures/engine/lora')

export type LoraFigures = Pick<Figures, 'groups' | 'logProbs' | 'sft' | 'adamw'> & {
  baseLogProbs: number[][][]
  mergedLogProbs: number[][][]
}

export const adapterFolder = (name: Architecture): string => join(folder, name)

export async function readLoraFigures(name: Architecture): Promise<LoraFigures> {
  return JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'))
}

/** Tensors of the fixture whose names begin with `kind.`, under the rest of their names. */
export async function readLoraTensors(
  name: Architecture,
  kind: 'sft' | 'adamw',
): Promise<Map<string, Float32Array>> {
  const file = join(folder, `${name}.safetensors`)
  const [{ entries }, bytes] = await Promise.all([readSafetensorsFile(file), readFile(file)])
  return new Map(
    entries
      .filter(entry => entry.name.startsWith(`${kind}.`))
      .map(({ name: tensor, offset, byteLength }) => [
        tensor.slice(kind.length + 1),
        new Float32Array(Uint8Array.from(bytes.subarray(offset, offset + byteLength)).buffer),
      ]),
  )
}

/** A tiny model with the fixture's adapter. */
export function loadAdapted(
  t: ExecutionContext,
  name: Architecture,
  options: LoadOptions = {},
): Promise<Model> {
  return loadTiny(t, name, { adapter: adapterFolder(name), ...options })
}

export function adapterNames(model: Model): string[] {
  return model.native.adapterTensors().map(tensor => tensor.name)
}

export async function readAdapters(model: Model): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>()
  for (const name of adapterNames(model)) values.set(name, await model.readParameter(name))
  return values
}
