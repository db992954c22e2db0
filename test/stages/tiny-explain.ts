/** Explaining a data set small enough to be done several times in a test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExplainConfigInput } from '../../lib/config/index.js'
import { type DeepPartial, dataFile, folder, merge, model } from './tiny-run.js'

/** Seven questions in batches of two, four explanations each, into a new folder. */
export async function tinyExplain(
  changes: DeepPartial<ExplainConfigInput> = {},
  name = 'explanations.jsonl',
): Promise<ExplainConfigInput & { output: { path: string } }> {
  const base = {
    teacher: { model, dtype: 'float32' },
    students: [{ model: 'teacher' }],
    device: 'cpu',
    threads: 1,
    data: { path: dataFile },
    format: { style: 'plain' },
    sampling: { completions: 4, maxNewTokens: 48 },
    questionsPerBatch: 2,
    seed: 7,
    output: { path: join(await mkdtemp(join(folder, 'explain-')), name) },
  }
  return merge(base, changes) as ExplainConfigInput & { output: { path: string } }
}

/** Runs one of the stages in a process of its own that kills itself at the n-th event that begins so. */
export async function killedAt(
  stage: 'evaluate' | 'explain' | 'rank',
  config: object,
  event: string,
  count: number,
): Promise<NodeJS.Signals | null> {
  const worker = fileURLToPath(new URL('killed-stage.js', import.meta.url))
  const argument = JSON.stringify({ stage, config, event, count })
  const child = spawn(process.execPath, [worker, argument], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [, signal] = await once(child, 'exit')
  return signal as NodeJS.Signals | null
}
