import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { TrainConfigInput } from '../../lib/config/index.js'
import type { TrainEvent } from '../../lib/report/index.js'
import { RunError } from '../../lib/runs/index.js'
import { train } from '../../lib/stages/train.js'
import { dataFile, folder, type JsonRow, readRows, results, tinyConfig } from './tiny-run.js'

/** Everything that has a state: a reference that follows, several updates a step, a schedule, more than an epoch. */
const demanding = () =>
  tinyConfig({
    reference: { kind: 'blended', every: 1, blend: 0.5 },
    algorithm: { epochs: 2, minibatches: 2 },
    optimizer: { schedule: 'cosine', warmupSteps: 1, weightDecay: 0.1 },
    training: { evaluateEvery: 1 },
  })

let expected: Promise<JsonRow> | undefined
/** Of a run that nothing interrupted; all interrupted ones of `demanding` are to equal it. */
const uninterrupted = () => {
  expected ??= train(demanding()).then(({ folder: run }) => results(run))
  return expected
}

function abortAt(test: (event: TrainEvent) => boolean) {
  const controller = new AbortController()
  return {
    signal: controller.signal,
    onEvent: (event: TrainEvent) => {
      if (test(event)) controller.abort()
    },
  }
}

for (const phase of ['sample', 'score', 'train', 'evaluate', 'save'] as const)
  test(`aborted in the phase ${phase}, saved, resumed: the same run bit for bit`, async t => {
    const config = demanding()
    const at = phase === 'save' ? 2 : 3
    const stopped = await train(
      config,
      abortAt(event => event.type === 'phase' && event.phase === phase && event.step === at),
    )
    t.false(stopped.finished)
    t.true(stopped.step >= 2 && stopped.step <= 3, `${stopped.step}`)
    t.is(stopped.checkpoint, join(stopped.folder, 'checkpoints', `step-${stopped.step}`))

    const { finished, folder: run } = await train(config, { resume: true })
    t.true(finished)
    const { steps, ...result } = await results(run)
    const { steps: _, ...same } = await uninterrupted()
    t.deepEqual(result, same)
    t.true((steps as string[]).includes('step-4'))
  })

for (const phase of ['sample', 'score', 'train', 'save', 'evaluate'])
  test(`killed in the phase ${phase}, resumed: the same run bit for bit`, async t => {
    const config = demanding()
    const step = phase === 'save' ? 4 : 3
    t.is(await killedAt(config, phase, step), 'SIGKILL')
    const { finished, folder: run } = await train(config, { resume: true })
    t.true(finished)
    t.deepEqual(await results(run), await uninterrupted())
  })

test('killed at three random moments, each time resumed: the same run bit for bit', async t => {
  const config = demanding()
  const phases = ['sample', 'score', 'train']
  for (const step of [1, 2, 3]) {
    const phase = phases[Math.floor(Math.random() * phases.length)]!
    const milliseconds = Math.random() * 20
    t.log(`killed ${milliseconds} ms into the phase ${phase} of step ${step}`)
    t.is(await killedAt(config, phase, step, { milliseconds, resume: step > 1 }), 'SIGKILL')
  }
  const { finished, folder: run } = await train(config, { resume: true })
  t.true(finished)
  const { steps: _, ...found } = await results(run)
  const { steps: __, ...same } = await uninterrupted()
  t.deepEqual(found, same)
})

async function killedAt(
  config: TrainConfigInput,
  phase: string,
  step: number,
  { milliseconds, resume = false }: { milliseconds?: number; resume?: boolean } = {},
): Promise<NodeJS.Signals | null> {
  const trainee = fileURLToPath(new URL('trainee.js', import.meta.url))
  const argument = JSON.stringify({ config, phase, step, milliseconds, resume })
  const child = spawn(process.execPath, [trainee, argument], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [, signal] = await once(child, 'exit')
  return signal as NodeJS.Signals | null
}

test('aborted before the first step was finished: nothing to save, and the run can still be gone on with', async t => {
  const config = tinyConfig()
  const stopped = await train(
    config,
    abortAt(event => event.type === 'phase' && event.phase === 'score' && event.step === 1),
  )
  t.deepEqual(stopped, { folder: config.output!.folder!, checkpoint: undefined, step: 0, finished: false })
  const { finished, folder: run } = await train(config, { resume: true })
  t.true(finished)
  t.is((await readRows(join(run, 'metrics.jsonl'))).length, 4)
})

test('a signal that is aborted from the start ends the run before it begins', async t => {
  const { finished, step } = await train(tinyConfig(), { signal: AbortSignal.abort() })
  t.false(finished)
  t.is(step, 0)
})

test('an aborted update is not left half done: the step is finished first', async t => {
  const config = demanding()
  let seen = 0
  const stopped = await train(
    config,
    // The second of four updates: the weights have changed by then.
    abortAt(event => event.type === 'phase' && event.phase === 'train' && event.done > 1 && seen++ === 0),
  )
  t.is(stopped.step, 1)
  t.is((await readRows(join(stopped.folder, 'metrics.jsonl'))).length, 1)
})

test('a failure keeps the steps that were finished before it', async t => {
  const module = join(folder, 'breaks.mjs')
  await writeFile(
    module,
    `let calls = 0
     export function reward() { if (++calls > 30) throw new Error('out of ideas'); return 0 }`,
  )
  const config = tinyConfig({
    reward: { terms: [{ module }] },
    data: { heldOut: null },
    training: { saveEvery: 0, steps: 40 },
  })
  const error = await t.throwsAsync(train(config))
  t.regex(error.message, /breaks\.mjs failed: out of ideas/)
  const run = config.output!.folder!
  const finished = (await readRows(join(run, 'metrics.jsonl'))).length
  t.true(finished > 0)
  const { checkpoint } = await train(config, { resume: true, signal: abortedSoon() })
  t.is(checkpoint, join(run, 'checkpoints', `step-${finished}`))
})

function abortedSoon(): AbortSignal {
  return AbortSignal.abort()
}

test('a run can be made longer', async t => {
  const config = tinyConfig({ training: { steps: 2 } })
  await train(config)
  const longer = { ...config, training: { ...config.training, steps: 4 } }
  const { folder: run } = await train(longer, { resume: true })
  const whole = await train(tinyConfig())
  const metrics = async (path: string) => (await results(path)).metrics
  t.deepEqual(await metrics(run), await metrics(whole.folder))
})

test('other data than those of the start are refused', async t => {
  const own = join(folder, 'own.jsonl')
  const rows = await readRows(dataFile)
  const write = (list: JsonRow[]) => writeFile(own, list.map(row => JSON.stringify(row)).join('\n'))
  await write(rows)
  const config = tinyConfig({ data: { train: { path: own } }, training: { steps: 1 } })
  await train(config)
  await write([...rows.slice(0, 3), { question: 'else?', solution: 'no.' }, ...rows.slice(4)])
  const error = await t.throwsAsync(train(config, { resume: true }), { instanceOf: RunError })
  t.regex(error.message, /not those that the run was started with/)
})

test('a folder that holds a run is not written over', async t => {
  const config = tinyConfig({ training: { steps: 1 } })
  await train(config)
  const error = await t.throwsAsync(train(config), { instanceOf: RunError })
  t.regex(error.message, /holds a run already/)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
