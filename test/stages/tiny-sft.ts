/** Fine-tuning small enough to be done several times in a test. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DistillConfigInput, WarmupConfigInput } from '../../lib/config/index.js'
import { type DeepPartial, folder, merge, model } from './tiny-run.js'

export const tracesFile = join(folder, 'traces.jsonl')
const traces = Array.from({ length: 11 }, (_, i) => ({
  question: `what is ${i} + ${i + 1}?`,
  explanation: `add ${i + 1} to ${i}.`,
  solution: `it is ${2 * i + 1}.`,
}))
await writeFile(tracesFile, traces.map(row => `${JSON.stringify(row)}\n`).join(''))

let runs = 0

const base = () => ({
  device: 'cpu',
  threads: 1,
  data: { train: { path: tracesFile }, heldOut: { rows: 2 } },
  format: { style: 'plain' },
  optimizer: { learningRate: 1e-3, warmupShare: 0 },
  training: { epochs: 2, rowsPerStep: 3, saveEvery: 2, evaluateEvery: 2, seed: 7 },
  output: { folder: join(folder, `sft-${process.pid}-${runs++}`) },
})

/** Nine rows, twice, three a step: six steps. */
export function tinyDistill(
  changes: DeepPartial<DistillConfigInput> = {},
): DistillConfigInput & { output: { folder: string } } {
  return merge({ student: { model, dtype: 'float32' }, ...base() }, changes) as DistillConfigInput & {
    output: { folder: string }
  }
}

export function tinyWarmup(
  changes: DeepPartial<WarmupConfigInput> = {},
): WarmupConfigInput & { output: { folder: string } } {
  return merge({ teacher: { model, dtype: 'float32' }, ...base() }, changes) as WarmupConfigInput & {
    output: { folder: string }
  }
}
