import { appendFile, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { UsageError } from '../../lib/errors.js'
import { listCompletions, RunError, RunFolder, readMetrics } from '../../lib/runs/index.js'

const newFolder = () => mkdtemp(join(tmpdir(), 'rlt-run-'))
const config = 'teacher: {model: t}\n'

test('a new run has its configuration and no metrics', async t => {
  const folder = await newFolder()
  const run = await RunFolder.create(folder, config)
  t.is(await readFile(join(folder, 'config.yaml'), 'utf8'), config)
  t.deepEqual(await readMetrics(folder), [])
  t.is(await run.latestCheckpoint(), undefined)
  await run.close()
})

test('metrics are read back as they were appended, and what is not finite is null', async t => {
  const folder = await newFolder()
  const run = await RunFolder.create(folder, config)
  await run.appendMetrics({ step: 1, reward: -1.25, kl_ref: Number.NaN })
  await run.appendMetrics({ step: 2, reward: 1e-300 })
  t.deepEqual(await readMetrics(folder), [
    { step: 1, reward: -1.25, kl_ref: null },
    { step: 2, reward: 1e-300 },
  ])
  await run.close()
})

test('a last line cut short by a kill is left out', async t => {
  const folder = await newFolder()
  await writeFile(join(folder, 'metrics.jsonl'), '{"step":1}\n{"step":2,"rew')
  t.deepEqual(await readMetrics(folder), [{ step: 1 }])
})

test('a broken line in the middle is named', async t => {
  const folder = await newFolder()
  await writeFile(join(folder, 'metrics.jsonl'), '{"step":1}\n{"step":2,"rew\n{"step":3}\n')
  await t.throwsAsync(readMetrics(folder), { instanceOf: RunError, message: /metrics\.jsonl:2: / })
})

test('going on from a step forgets what was written after it, and a line cut short with it', async t => {
  const folder = await newFolder()
  const run = await RunFolder.create(folder, config)
  for (const step of [1, 2, 3]) {
    await run.appendMetrics({ step })
    await run.writeCompletions(step, [{ step }])
  }
  await appendFile(run.metricsFile, '{"step":4,"re')
  await run.truncateAfter(2)
  await run.appendMetrics({ step: 3, reward: 7 })
  t.deepEqual(await readMetrics(folder), [{ step: 1 }, { step: 2 }, { step: 3, reward: 7 }])
  t.deepEqual(
    (await listCompletions(folder)).map(({ step }) => step),
    [1, 2],
  )
  await run.close()
})

test('completions are listed in the order of steps', async t => {
  const folder = await newFolder()
  const run = await RunFolder.create(folder, config)
  for (const step of [10, 2, 1234567])
    await run.writeCompletions(step, [{ explanation: 'a\nb\u2028c' }, { explanation: '' }])
  const files = await listCompletions(folder)
  t.deepEqual(
    files.map(({ step }) => step),
    [2, 10, 1234567],
  )
  const lines = (await readFile(files[0]!.file, 'utf8')).split('\n')
  t.deepEqual(JSON.parse(lines[0]!), { explanation: 'a\nb\u2028c' })
  t.is(lines.length, 3)
  await run.close()
})

test('a folder with results is not started over', async t => {
  const folder = await newFolder()
  const run = await RunFolder.create(folder, config)
  await run.appendMetrics({ step: 1 })
  await run.close()
  await t.throwsAsync(RunFolder.create(folder, config), {
    instanceOf: RunError,
    message: /rlt train --resume .*\n.*--set output\.folder=/,
  })
  t.deepEqual(await readMetrics(folder), [{ step: 1 }])
})

test('a run that came to nothing can be started again in its folder', async t => {
  const folder = await newFolder()
  await (await RunFolder.create(folder, config)).close()
  const again = await RunFolder.create(folder, 'device: cpu\n')
  t.is(await readFile(join(folder, 'config.yaml'), 'utf8'), 'device: cpu\n')
  await again.close()
})

test('a folder that is not a run cannot be opened, and nothing is written into it', async t => {
  const folder = await newFolder()
  await t.throwsAsync(RunFolder.open(folder), { instanceOf: UsageError, message: /is not a run folder/ })
  t.deepEqual(await readdir(folder), [])
})

test('a path that is a file is refused with its reason', async t => {
  const file = join(await newFolder(), 'file')
  await writeFile(file, '')
  await t.throwsAsync(RunFolder.create(file, config), { instanceOf: RunError, message: /cannot be made/ })
})

test('no temporary files are left behind', async t => {
  const folder = await newFolder()
  const run = await RunFolder.create(folder, config)
  await run.writeConfig('device: cuda\n')
  await run.writeCompletions(1, [{}])
  await run.close()
  t.deepEqual((await readdir(folder)).sort(), ['checkpoints', 'completions', 'config.yaml'])
  t.deepEqual(await readdir(join(folder, 'completions')), ['step-000001.jsonl'])
})

test('a write that fails says where and leaves the old file', async t => {
  const folder = await newFolder()
  const run = await RunFolder.create(folder, config)
  await mkdir(join(folder, 'metrics.jsonl')) // a folder in the file's place: no append can succeed
  await t.throwsAsync(run.appendMetrics({ step: 1 }), {
    instanceOf: RunError,
    message: /metrics\.jsonl cannot be written/,
  })
  t.is(await readFile(run.configFile, 'utf8'), config)
  await run.close()
})
