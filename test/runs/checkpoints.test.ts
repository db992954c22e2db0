import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { RunError, RunFolder } from '../../lib/runs/index.js'

async function newRun(): Promise<RunFolder> {
  return RunFolder.create(await mkdtemp(join(tmpdir(), 'rlt-checkpoints-')), '{}\n')
}

/** A checkpoint as the trainer writes one: weights in shards, an optimizer, a state. */
const save = (run: RunFolder, step: number, keep?: number) =>
  run.saveCheckpoint(
    step,
    async folder => {
      await writeFile(join(folder, 'model.safetensors'), `weights of step ${step}`)
      await writeFile(join(folder, 'training', 'optimizer.safetensors'), `moments of step ${step}`)
      return { step, cursor: step * 4, random: ['1', '2'] }
    },
    { keep },
  )

test('the latest checkpoint comes back with its state', async t => {
  const run = await newRun()
  await save(run, 5)
  const folder = await save(run, 10)
  t.deepEqual(await run.latestCheckpoint(), {
    step: 10,
    folder,
    state: { step: 10, cursor: 40, random: ['1', '2'] },
    passedOver: [],
  })
  t.is(await readFile(join(folder, 'model.safetensors'), 'utf8'), 'weights of step 10')
})

test('steps are compared as numbers', async t => {
  const run = await newRun()
  for (const step of [9, 10, 100]) await save(run, step)
  t.is((await run.latestCheckpoint())!.step, 100)
})

test('only as many are kept as asked for, the newest', async t => {
  const run = await newRun()
  for (const step of [1, 2, 3, 10]) await save(run, step, 2)
  t.deepEqual((await readdir(run.checkpoints)).sort(), ['step-10', 'step-3'])
})

test('a writer that fails leaves no checkpoint and the others untouched', async t => {
  const run = await newRun()
  await save(run, 1, 1)
  const failing = run.saveCheckpoint(
    2,
    async folder => {
      await writeFile(join(folder, 'model.safetensors'), 'half')
      throw new Error('aborted')
    },
    { keep: 1 },
  )
  await t.throwsAsync(failing, { message: 'aborted' })
  t.deepEqual(await readdir(run.checkpoints), ['step-1'])
})

test('a step that is saved again replaces its checkpoint', async t => {
  const run = await newRun()
  const folder = await save(run, 3)
  await writeFile(join(folder, 'model.safetensors'), 'damaged')
  await save(run, 3)
  t.is((await run.latestCheckpoint())!.step, 3)
  t.deepEqual(await readdir(run.checkpoints), ['step-3'])
})

const damages: [string, (folder: string) => Promise<void>, RegExp][] = [
  [
    'a flipped letter',
    folder => writeFile(join(folder, 'model.safetensors'), 'weights of step 8'),
    /SHA-256/,
  ],
  ['a truncated file', folder => truncate(join(folder, 'model.safetensors'), 4), /has 4 bytes, not 17/],
  [
    'a longer file',
    folder => appendFile(join(folder, 'training', 'state.json'), ' '),
    /training\/state\.json has/,
  ],
  [
    'a missing file',
    folder => rm(join(folder, 'training', 'optimizer.safetensors')),
    /optimizer.* is missing/,
  ],
  [
    'a missing manifest',
    folder => rm(join(folder, 'training', 'manifest.json')),
    /manifest\.json is missing/,
  ],
  ['a broken manifest', folder => truncate(join(folder, 'training', 'manifest.json'), 10), /is not readable/],
]

for (const [name, damage, reason] of damages)
  test(`a damaged checkpoint is passed over for the one before it: ${name}`, async t => {
    const run = await newRun()
    await save(run, 8)
    const folder = await save(run, 9)
    await damage(folder)
    const found = await run.latestCheckpoint()
    t.is(found!.step, 8)
    t.is(found!.passedOver.length, 1)
    t.is(found!.passedOver[0]!.folder, folder)
    t.regex(found!.passedOver[0]!.reason, reason)
  })

test('when all are damaged the error names each', async t => {
  const run = await newRun()
  for (const step of [1, 2]) await rm(join(await save(run, step), 'model.safetensors'))
  await t.throwsAsync(run.latestCheckpoint(), {
    instanceOf: RunError,
    message: /step-2: .*missing\n.*step-1: .*missing/,
  })
})

test('a damaged checkpoint does not take the place of a good one when old ones are removed', async t => {
  const run = await newRun()
  await save(run, 4)
  await rm(join(await save(run, 8), 'model.safetensors'))
  await run.truncateAfter((await run.latestCheckpoint())!.step)
  await save(run, 6, 1)
  t.is((await run.latestCheckpoint())!.step, 6)
  t.deepEqual((await readdir(run.checkpoints)).sort(), ['damaged-step-8', 'step-6'])
})

test('what a killed process left half done is cleared away', async t => {
  const run = await newRun()
  await save(run, 4)
  for (const name of ['.step-5.partial', '.step-3.removed']) await mkdir(join(run.checkpoints, name))
  await run.close()
  const again = await RunFolder.open(run.folder)
  t.deepEqual(await readdir(again.checkpoints), ['step-4'])
})

test('a checkpoint that stepped aside for its successor comes back if that never came', async t => {
  const run = await newRun()
  const folder = await save(run, 4)
  await rename(folder, join(run.checkpoints, '.step-4.aside'))
  await run.close()
  const again = await RunFolder.open(run.folder)
  t.is((await again.latestCheckpoint())!.step, 4)
})
