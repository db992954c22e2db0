/** A run small enough to be repeated in a test, and what is compared of two of them. */
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TrainConfigInput } from '../../lib/config/index.js'
import { writeTinyModel } from './tiny-model.js'

export const folder = await mkdtemp(join(tmpdir(), 'rlt-train-'))
export const model = await writeTinyModel(join(folder, 'model'))
export const otherTokenizer = await writeTinyModel(join(folder, 'other'), { reversed: true, seed: 2 })

export const dataFile = join(folder, 'data.jsonl')
const rows = Array.from({ length: 7 }, (_, i) => ({
  question: `what is ${i} + ${i + 1}?`,
  solution: `${i} + ${i + 1} = ${2 * i + 1}.`,
}))
await writeFile(dataFile, rows.map(row => `${JSON.stringify(row)}\n`).join(''))

export type DeepPartial<T> = T extends object ? { [key in keyof T]?: DeepPartial<T[key]> } : T

let runs = 0

/** A new run folder's configuration: four steps of two questions, four explanations each. */
export function tinyConfig(changes: DeepPartial<TrainConfigInput> = {}): TrainConfigInput {
  const base = {
    teacher: { model, dtype: 'float32' },
    students: [{ model: 'teacher' }],
    device: 'cpu',
    threads: 1,
    data: { train: { path: dataFile }, heldOut: { rows: 2 } },
    format: { style: 'plain' },
    sampling: { completions: 4, maxNewTokens: 48 },
    reward: { missingEnd: -8 },
    optimizer: { learningRate: 1e-3 },
    training: { steps: 4, promptsPerStep: 2, saveEvery: 2, heldOutCompletions: 2, seed: 7 },
    output: { folder: join(folder, `run-${process.pid}-${runs++}`) },
  }
  return merge(base, changes) as TrainConfigInput
}

export function merge(base: unknown, changes: unknown): unknown {
  const isMapping = (value: unknown): value is Record<string, unknown> =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
  if (!isMapping(base) || !isMapping(changes)) return changes
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(changes))
    merged[key] = key in base ? merge(base[key], value) : value
  return merged
}

export type JsonRow = Record<string, unknown>

export async function readRows(file: string): Promise<JsonRow[]> {
  const text = await readFile(file, 'utf8')
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as JsonRow)
}

/** Everything that two equal runs have in common: all but times, memory and where they lie. */
export async function results(run: string): Promise<JsonRow> {
  const isTime = (key: string) => /seconds|per_second|memory/.test(key)
  const timeless = (row: JsonRow) => Object.fromEntries(Object.entries(row).filter(([key]) => !isTime(key)))
  const read = async (name: string) => (await readRows(join(run, name))).map(timeless)
  const steps = (await readdir(join(run, 'checkpoints'))).filter(name => name.startsWith('step-')).sort()
  const last = join(run, 'checkpoints', steps.at(-1)!)
  const files = await readdir(last, { recursive: true, withFileTypes: true })
  const contents: JsonRow = {}
  for (const file of files.filter(entry => entry.isFile()))
    contents[file.name] = (await readFile(join(file.parentPath, file.name))).toString('base64')
  return {
    metrics: await read('metrics.jsonl'),
    evaluation: await read('evaluation.jsonl'),
    completions: await Promise.all(
      (await readdir(join(run, 'completions'))).sort().map(name => read(join('completions', name))),
    ),
    steps,
    contents,
  }
}
