import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, copyFile, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { UsageError } from '../../lib/errors.js'
import {
  type PipelineConfigInput,
  PipelineError,
  type PipelineEvent,
  planPipeline,
  runPipeline,
} from '../../lib/stages/pipeline.js'
import { outputs, tinyPipeline } from './tiny-pipeline.js'
import { dataFile, folder, merge } from './tiny-run.js'

/** Names and actions, in the order in which they come. */
const actions = (stages: readonly { name: string; action: string }[]) =>
  stages.map(({ name, action }) => `${name} ${action}`)

const changed = (config: PipelineConfigInput, stage: string, own: object) =>
  merge(config, { stages: { [stage]: { config: own } } }) as PipelineConfigInput

interface Whole {
  config: PipelineConfigInput
  events: PipelineEvent[]
  outputs: Awaited<ReturnType<typeof outputs>>
}

let uninterrupted: Promise<Whole> | undefined
/** Of a pipeline that nothing interrupted; nothing may change its folder. */
function whole(): Promise<Whole> {
  uninterrupted ??= (async () => {
    const config = await tinyPipeline()
    const events: PipelineEvent[] = []
    await runPipeline(config, { onEvent: event => events.push(event) })
    return { config, events, outputs: await outputs(config.folder) }
  })()
  return uninterrupted
}

/** A complete pipeline that a test may change. */
async function complete(): Promise<PipelineConfigInput> {
  const config = await tinyPipeline()
  await runPipeline(config)
  return config
}

// Serial: tokens and memory are those of the process.
test.serial('all stages run in the order of what they need, and say what they cost', async t => {
  const { config, events, outputs } = await whole()
  t.not(outputs.explain, '')
  const starts = events.flatMap(event => (event.type === 'start' ? [event.name] : []))
  t.deepEqual(starts, ['train', 'explain', 'rank'])
  const stages = await planPipeline(config)
  for (const { name, complete, cost, outputs: paths } of stages) {
    t.true(complete, name)
    t.true(cost!.seconds > 0 && cost!.peakMemoryBytes > 0 && cost!.tokens.scored > 0, name)
    for (const path of Object.values(paths)) t.truthy(await stat(path), path)
  }
  const [train, explain, rank] = stages.map(({ cost }) => cost!.tokens)
  t.true(train!.trained > 0 && train!.sampled > 0)
  t.true(explain!.sampled > 0)
  t.is(explain!.trained, 0)
  t.is(rank!.sampled, 0)
})

test('what is complete and unchanged is skipped', async t => {
  const { config } = await whole()
  const before = await stat(join(config.folder, 'rank', 'explanations.jsonl'))
  const events: PipelineEvent[] = []
  const { finished, stages } = await runPipeline(config, { onEvent: event => events.push(event) })
  t.true(finished)
  t.deepEqual(actions(stages), ['train skip', 'explain skip', 'rank skip'])
  t.deepEqual(
    events.map(({ type }) => type),
    ['plan'],
  )
  t.is((await stat(join(config.folder, 'rank', 'explanations.jsonl'))).mtimeMs, before.mtimeMs)
})

test('a changed option runs its stage again and those that depend on it, no others; the old results are kept', async t => {
  const config = await complete()
  const old = await readFile(join(config.folder, 'explain', 'explanations.jsonl'), 'utf8')
  const other = changed(config, 'explain', { seed: 5 })
  const planned = await planPipeline(other)
  t.deepEqual(actions(planned), ['train skip', 'explain run', 'rank run'])
  t.is(planned[1]!.reason, 'seed was 0, is 5')
  t.regex(planned[2]!.reason, /the stage explain before it was changed/)
  const { stages } = await runPipeline(other)
  t.true(stages.every(stage => stage.complete))
  t.not(await readFile(join(config.folder, 'explain', 'explanations.jsonl'), 'utf8'), old)
  t.is(await readFile(join(config.folder, 'explain.previous', 'explanations.jsonl'), 'utf8'), old)
  t.deepEqual(actions(await planPipeline(other)), ['train skip', 'explain skip', 'rank skip'])
})

test('what only decides how fast it goes changes nothing', async t => {
  const { config } = await whole()
  const stages = await planPipeline(changed(config, 'train', { threads: 2 }))
  t.deepEqual(actions(stages), ['train skip', 'explain skip', 'rank skip'])
})

test('a changed input, a lost output and a changed output are noticed', async t => {
  const data = join(await mkdtemp(join(folder, 'input-')), 'data.jsonl')
  await copyFile(dataFile, data)
  const config = changed(await tinyPipeline(), 'explain', { data: { path: data } })
  await runPipeline(config)
  await appendFile(data, '{"question":"what is 9 + 1?","solution":"9 + 1 = 10."}\n')
  const [train, explain, rank] = await planPipeline(config)
  t.is(train!.action, 'skip')
  t.is(explain!.reason, 'what data.path holds was changed')
  t.is(rank!.action, 'run')
  await copyFile(dataFile, data) // the same content at another time is the same input
  t.deepEqual(actions(await planPipeline(config)), ['train skip', 'explain skip', 'rank skip'])

  const ranked = join(config.folder, 'rank', 'explanations.jsonl')
  await appendFile(ranked, '{}\n')
  t.regex((await planPipeline(config))[2]!.reason, /was changed since it was written/)
  await rm(ranked)
  t.regex((await planPipeline(config))[2]!.reason, /is gone/)
})

test('a pipeline whose folder was moved is still complete', async t => {
  const config = await complete()
  const moved = `${config.folder}-moved`
  await rename(config.folder, moved)
  const stages = await planPipeline({ ...config, folder: moved })
  t.deepEqual(actions(stages), ['train skip', 'explain skip', 'rank skip'])
})

test('a pipeline that is only planned leaves nothing behind', async t => {
  const config = await tinyPipeline()
  config.folder = join(config.folder, 'new')
  const stages = await planPipeline(config)
  t.deepEqual(actions(stages), ['train run', 'explain run', 'rank run'])
  t.is(stages[0]!.reason, 'it has not been run yet')
  await t.throwsAsync(stat(config.folder))
})

for (const third of [0, 1, 2])
  test(`killed at a random point (${third + 1} of 3) and run again: the same outputs`, async t => {
    const { events, outputs: expected } = await whole()
    const event = 2 + Math.floor(((third + Math.random()) / 3) * (events.length - 2))
    const milliseconds = Math.random() * 60
    t.log(`${milliseconds} ms after event ${event} of ${events.length}: ${JSON.stringify(events[event - 1])}`)
    const config = await tinyPipeline()
    t.is(await killedAt({ config, event, milliseconds }), 'SIGKILL')
    const { finished } = await runPipeline(config)
    t.true(finished)
    t.deepEqual(await outputs(config.folder), expected)
  })

async function killedAt(work: {
  config: PipelineConfigInput
  event: number
  milliseconds: number
}): Promise<NodeJS.Signals | null> {
  const worker = fileURLToPath(new URL('killed-pipeline.js', import.meta.url))
  const child = spawn(process.execPath, [worker, JSON.stringify(work)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [, signal] = await once(child, 'exit')
  return signal as NodeJS.Signals | null
}

test('stopped by its signal it saves, and goes on where it was', async t => {
  const config = await tinyPipeline()
  const controller = new AbortController()
  const stopped = await runPipeline(config, {
    signal: controller.signal,
    onEvent: event => {
      if (event.type === 'progress' && event.name === 'explain') controller.abort()
    },
  })
  t.false(stopped.finished)
  t.deepEqual(
    stopped.stages.map(stage => stage.complete),
    [true, false, false],
  )
  const { stages } = await runPipeline(config)
  t.deepEqual(actions(stages), ['train skip', 'explain resume', 'rank run'])
  t.deepEqual(await outputs(config.folder), (await whole()).outputs)
})

test('a stage that fails is named with what to do; those before it are kept', async t => {
  const module = join(await mkdtemp(join(folder, 'term-')), 'term.mjs')
  await writeFile(module, "export function reward() { throw new Error('out of ideas') }")
  const config = changed(await tinyPipeline(), 'explain', { reward: { terms: [{ module }] } })
  const error = await t.throwsAsync(runPipeline(config), { instanceOf: PipelineError })
  t.regex(error.message, /^The stage explain \(explain\) failed: .*out of ideas/)
  t.regex(error.message, /same command/)
  t.deepEqual(actions(await planPipeline(config)), ['train skip', 'explain resume', 'rank run'])
})

test('only one stage, or from one on', async t => {
  const fresh = await tinyPipeline()
  const error = await t.throwsAsync(runPipeline(fresh, { only: 'rank' }), { instanceOf: UsageError })
  t.regex(error.message, /needs train, which is not complete/)
  const typo = await t.throwsAsync(planPipeline(fresh, { from: 'explian' }), { instanceOf: UsageError })
  t.regex(typo.message, /did you mean explain\?/)

  const { config } = await whole()
  t.deepEqual(actions(await planPipeline(config, { from: 'explain' })), [
    ...['train skip', 'explain run', 'rank run'],
  ])
  const other = changed(changed(config, 'train', { training: { seed: 3 } }), 'rank', { top: 2 })
  t.deepEqual(actions(await planPipeline(other, { only: 'train' })), [
    ...['train run', 'explain skip', 'rank skip'],
  ])
})

test('a pipeline that runs is not run a second time', async t => {
  const config = await tinyPipeline()
  let second: Promise<unknown> | undefined
  await runPipeline(config, {
    onEvent: event => {
      if (event.type === 'start') second ??= t.throwsAsync(runPipeline(config), { message: /is in use/ })
    },
  })
  await second
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
