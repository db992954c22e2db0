import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { stringify } from 'yaml'
import { tinyPipeline } from '../stages/tiny-pipeline.js'
import { folder } from '../stages/tiny-run.js'
import { rlt, startRlt } from './run-rlt.js'

async function tinyFile(): Promise<string> {
  const config = await tinyPipeline()
  const file = join(config.folder, 'tiny.yaml')
  await writeFile(file, stringify(config))
  return file
}

test('a dry run says what would be done and does nothing; a run prints what each stage cost', async t => {
  const file = await tinyFile()
  const plan = await rlt(['pipeline', file, '--dry-run'])
  t.is(plan.code, 0, plan.stderr)
  t.regex(plan.stdout, /^train +train +run +it has not been run yet$/m)

  const run = await rlt(['pipeline', file])
  t.is(run.code, 0, run.stderr)
  for (const name of ['train', 'explain', 'rank'])
    t.regex(run.stdout, new RegExp(`^${name} +${name} +done( +[\\d.,]+( \\w+)?){5}`, 'm'))

  const again = await rlt(['pipeline', file, '--json'])
  t.is(again.code, 0, again.stderr)
  const { finished, stages } = JSON.parse(again.stdout)
  t.true(finished)
  t.deepEqual(
    stages.map(({ name, action }: Record<string, string>) => [name, action]),
    ['train', 'explain', 'rank'].map(name => [name, 'skip']),
  )

  const other = await rlt([
    ...['pipeline', file, '--dry-run', '--json', '--threads', '2'],
    ...['--set', 'stages.rank.config.order=reward'],
  ])
  t.deepEqual(
    JSON.parse(other.stdout).stages.map(({ action, reason }: Record<string, string>) => [action, reason]),
    [
      ['skip', 'complete and unchanged'],
      ['skip', 'complete and unchanged'],
      ['run', 'order was "input", is "reward"'],
    ],
  )
  const ordered = await rlt(['pipeline', file, '--json', '--set', 'stages.rank.config.order=reward'])
  // The rewards are those of the first time.
  t.is(JSON.parse(ordered.stdout).stages[2].cost.tokens.scored, 0)
})

test('Ctrl-C saves and ends with 0, and the same command goes on', async t => {
  const file = await tinyFile()
  const child = startRlt(['pipeline', file, '--json'])
  let stdout = ''
  child.stdout.on('data', text => {
    stdout += text
  })
  let stderr = ''
  child.stderr.on('data', text => {
    stderr += text
    // It runs, and there is more to come.
    if (/^train: train/m.test(stderr) && !child.killed) child.kill('SIGINT')
  })
  const [code] = await once(child, 'close')
  t.is(code, 0, stderr)
  t.false(JSON.parse(stdout).finished)
  const { code: end, stdout: result } = await rlt(['pipeline', file, '--json'])
  t.is(end, 0)
  t.is(JSON.parse(result).stages[0].action, 'resume')
  t.true(JSON.parse(result).finished)
})

test('a mistake in the file ends with 2 before anything is run; a stage that fails with 1', async t => {
  const file = await tinyFile()
  const wrong = await rlt(['pipeline', file, '--set', 'stages.rank.config.ordr=reward'])
  t.is(wrong.code, 2)
  t.regex(wrong.stderr, /ordr: there is no such option; did you mean order\?/)
  const lost = await rlt(['pipeline', file, '--only', 'rank'])
  t.is(lost.code, 2)
  t.regex(lost.stderr, /--only rank: it needs/)
  const failing = await rlt(['pipeline', file, '--set', 'stages.train.config.data.maxPromptTokens=3'])
  t.is(failing.code, 1)
  t.regex(failing.stderr, /The stage train \(train\) failed: /)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
