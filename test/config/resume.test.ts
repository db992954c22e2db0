import { mkdtemp, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { formatConfig, loadRunConfig, parseConfig, trainKind } from '../../lib/config/index.js'
import { ConfigurationError, UsageError } from '../../lib/errors.js'

async function run(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rlt-resume-'))
  const config = parseConfig(trainKind, {
    teacher: { model: 't' },
    students: [{ model: 's' }],
    data: { train: { path: '/d.jsonl' } },
    output: { folder },
  })
  await writeFile(join(folder, 'config.yaml'), formatConfig(config))
  return folder
}

test('a run is gone on with where its folder is now', async t => {
  const folder = await run()
  const moved = `${folder}-moved`
  await rename(folder, moved)
  t.is((await loadRunConfig(trainKind, moved)).output.folder, moved)
})

test('a run can be made longer', async t => {
  t.is((await loadRunConfig(trainKind, await run(), ['training.steps=999'])).training.steps, 999)
})

test('what would make it another run is refused by name, with what it was', async t => {
  const error = await t.throwsAsync(
    loadRunConfig(trainKind, await run(), ['sampling.temperature=1', 'students=[{model: z}]']),
    {
      instanceOf: ConfigurationError,
    },
  )
  t.regex(error.message, /sampling\.temperature: it was started with 0\.7/)
  t.regex(error.message, /students: it was started with a list of 1/)
})

test('setting an option to what it is changes nothing', async t => {
  await t.notThrowsAsync(loadRunConfig(trainKind, await run(), ['sampling.temperature=0.7']))
})

test('a folder without a run is a usage error', async t => {
  await t.throwsAsync(loadRunConfig(trainKind, tmpdir()), {
    instanceOf: UsageError,
    message: /is not a run folder/,
  })
})
