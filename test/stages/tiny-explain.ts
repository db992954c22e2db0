/** Explaining a data set small enough to be done several times in a test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
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

/** Each runs in a process of its own, where it can be killed. */
type KillableStage = 'evaluate' | 'explain' | 'rank'

/** Lets a stage kill itself at the n-th event of a kind. Gives the signal that it ended by. */
export async function killedAt(stage: KillableStage, config: object, event: string, count: number) {
  return await dead({ stage, config, event, count })
}

/** Lets a stage kill itself at three random moments, one after the other, each going on where the last one died. */
export async function killedAnywhere(
  t: ExecutionContext,
  stage: KillableStage,
  config: object,
): Promise<void> {
  for (let kill = 0; kill < 3; kill++) {
    const count = 1 + Math.floor(Math.random() * 6)
    const milliseconds = Math.random() * 30
    t.log(`killed ${milliseconds} ms after event ${count}`)
    const signal = await dead({ stage, config, count, milliseconds })
    // Later on there may be fewer events left than it takes.
    if (kill === 0) t.is(signal, 'SIGKILL')
  }
}

async function dead(work: object): Promise<NodeJS.Signals | null> {
  const worker = fileURLToPath(new URL('killed-stage.js', import.meta.url))
  const child = spawn(process.execPath, [worker, JSON.stringify(work)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [, signal] = await once(child, 'exit')
  return signal as NodeJS.Signals | null
}
