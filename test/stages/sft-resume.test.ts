/** Fine-tuning that was killed or stopped, and resumed, is the same as fine-tuning that was not. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { TrainEvent } from '../../lib/report/index.js'
import { RunError } from '../../lib/runs/index.js'
import { distill } from '../../lib/stages/distill.js'
import { warmup } from '../../lib/stages/warmup.js'
import { folder, type JsonRow, readRows } from './tiny-run.js'
import { tinyDistill, tinyWarmup } from './tiny-sft.js'

/**
 * Everything that has a state: a schedule, weight decay, more than an epoch, and a learning rate so high that the best
 * checkpoint is the first one.
 */
const demanding = {
  optimizer: { learningRate: 0.3, schedule: 'cosine', warmupShare: 0.2, weightDecay: 0.1 },
  training: { evaluateEvery: 1, saveEvery: 2 },
} as const

const stages = {
  distill: { run: distill, config: () => tinyDistill(demanding) },
  warmup: { run: warmup, config: () => tinyWarmup(demanding) },
  adapters: { run: distill, config: () => tinyDistill({ ...demanding, student: { lora: { rank: 4 } } }) },
} as const

type Stage = keyof typeof stages

const timeless = (row: JsonRow) =>
  Object.fromEntries(Object.entries(row).filter(([key]) => !/seconds|per_second|memory/.test(key)))

async function bytesOf(path: string): Promise<JsonRow> {
  const files = await readdir(path, { recursive: true, withFileTypes: true })
  const contents: JsonRow = {}
  for (const file of files.filter(entry => entry.isFile()))
    contents[join(file.parentPath, file.name).slice(path.length)] = (
      await readFile(join(file.parentPath, file.name))
    ).toString('base64')
  return contents
}

/** All that two equal runs have in common. */
async function results(run: string): Promise<JsonRow> {
  return {
    metrics: (await readRows(join(run, 'metrics.jsonl'))).map(timeless),
    evaluation: (await readRows(join(run, 'evaluation.jsonl'))).map(timeless),
    checkpoints: (await readdir(join(run, 'checkpoints'))).sort(),
    last: await bytesOf(join(run, 'checkpoints', 'step-6')),
    model: await bytesOf(join(run, 'model')),
  }
}

const expected = new Map<Stage, Promise<JsonRow>>()
const uninterrupted = (stage: Stage): Promise<JsonRow> => {
  const { run, config } = stages[stage]
  const made =
    expected.get(stage) ??
    run(config() as never).then(async ({ folder, step, modelStep }) => {
      if (step !== 6 || (stage !== 'adapters' && modelStep !== 1))
        throw new Error(`expected the first of six steps to be the best, got ${modelStep} of ${step}`)
      return results(folder)
    })
  expected.set(stage, made)
  return made
}

interface Death {
  /** Of what it kills itself. */
  event?: string
  count?: number
  resume?: boolean
}

function start(stage: Stage, config: object, death: Death) {
  const worker = fileURLToPath(new URL('killed-sft.js', import.meta.url))
  const name = stage === 'warmup' ? 'warmup' : 'distill'
  const argument = JSON.stringify({ stage: name, config, resume: false, ...death })
  return spawn(process.execPath, [worker, argument], { stdio: ['ignore', 'pipe', 'inherit'] })
}

for (const stage of ['distill', 'warmup', 'adapters'] as const) {
  for (const [event, count] of [
    ['train', 4],
    ['save', 3],
    ['evaluate', 5],
    ['checkpoint', 3],
  ] as const)
    test(`${stage}: killed at ${event} ${count} and resumed: the same run bit for bit`, async t => {
      const { run, config: make } = stages[stage]
      const config = make()
      const [, signal] = await once(start(stage, config, { event, count }), 'exit')
      t.is(signal, 'SIGKILL')
      const { finished, folder } = await run(config as never, { resume: true })
      t.true(finished)
      t.deepEqual(await results(folder), await uninterrupted(stage))
    })

  test(`${stage}: killed at three random moments, each time resumed: the same run bit for bit`, async t => {
    const { run, config: make } = stages[stage]
    const config = { ...make(), training: { ...make().training, saveEvery: 1 } }
    for (let kill = 0; kill < 3; kill++) {
      // The first three events are of loading; a step has about five.
      const events = 4 + Math.floor(Math.random() * 7)
      const milliseconds = Math.random() * 20
      t.log(`killed ${milliseconds} ms after event ${events}`)
      const child = start(stage, config, { resume: kill > 0 })
      const ended = once(child, 'exit')
      let seen = 0
      for await (const _ of createInterface(child.stdout)) if (++seen === events) break
      await sleep(milliseconds)
      child.kill('SIGKILL')
      t.is((await ended)[1], 'SIGKILL')
    }
    const { finished, folder } = await run(config as never, { resume: true })
    t.true(finished)
    const { checkpoints: _, ...found } = await results(folder)
    const { checkpoints: __, ...same } = await uninterrupted(stage)
    t.deepEqual(found, same)
  })
}

test('aborted: finished steps are saved, and the resumed run is the same', async t => {
  const config = stages.distill.config()
  const controller = new AbortController()
  const stopped = await distill(config, {
    signal: controller.signal,
    onStep: ({ step }) => {
      if (step === 3) controller.abort()
    },
  })
  t.like(stopped, { finished: false, step: 3, steps: 6, model: undefined })
  const { finished, folder } = await distill(config, { resume: true })
  t.true(finished)
  const { checkpoints: _, ...found } = await results(folder)
  const { checkpoints: __, ...same } = await uninterrupted('distill')
  t.deepEqual(found, same)
})

test('a signal that is aborted from the start ends the run before it begins', async t => {
  const { finished, step } = await warmup(tinyWarmup(), { signal: AbortSignal.abort() })
  t.false(finished)
  t.is(step, 0)
})

test('a finished run that is resumed is left as it is', async t => {
  const config = stages.distill.config()
  const { folder } = await distill(config)
  const before = await results(folder)
  const events: TrainEvent[] = []
  const { finished } = await distill(config, { resume: true, onEvent: event => events.push(event) })
  t.true(finished)
  t.false(events.some(event => event.type === 'phase' && event.phase === 'train'))
  t.deepEqual(await results(folder), before)
})

test('a folder that holds a run is not written over', async t => {
  const config = tinyWarmup({ training: { steps: 1, evaluateEvery: 0 } })
  await warmup(config)
  const error = await t.throwsAsync(warmup(config), { instanceOf: RunError })
  t.regex(error.message, /holds a run already. Go on with it: rlt warmup --resume/)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
