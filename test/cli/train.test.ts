/** rlt train as a user meets it, with a model so small that a step takes milliseconds. */
import type { ChildProcess } from 'node:child_process'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { parse, stringify } from 'yaml'
import type { TrainConfigInput } from '../../lib/config/index.js'
import { folder, model, readRows, results, tinyConfig } from '../stages/tiny-run.js'
import { rlt, startRlt } from './run-rlt.js'

/** A configuration file and the run folder that it names. */
async function configFile(changes: Parameters<typeof tinyConfig>[0] = {}): Promise<[string, string]> {
  const config: TrainConfigInput = tinyConfig(changes)
  const run = config.output!.folder!
  await writeFile(`${run}.yaml`, stringify(config))
  return [`${run}.yaml`, run]
}

/** Resolves when the process has written `text` to standard error, with all that it wrote till then. */
function said(child: ChildProcess, text: string): Promise<string> {
  let heard = ''
  return new Promise((resolve, reject) => {
    child.stderr!.on('data', chunk => {
      heard += chunk
      if (heard.includes(text)) resolve(heard)
    })
    child.on('close', () => reject(new Error(`it ended without saying ${text}: ${heard}`)))
  })
}

test.serial('a run ends with a teacher, a report and one line of JSON', async t => {
  const [config, run] = await configFile()
  const { code, stdout, stderr } = await rlt(['train', config, '--json'])
  t.is(code, 0, stderr)
  t.deepEqual(JSON.parse(stdout), {
    folder: run,
    checkpoint: join(run, 'checkpoints', 'step-4'),
    step: 4,
    finished: true,
    report: join(run, 'report.html'),
  })
  t.is((await readRows(join(run, 'metrics.jsonl'))).length, 4)
  const reported = stderr.split('\n').filter(line => line.startsWith('step '))
  t.regex(reported[0]!, /^step 1\/4 {2}reward -/)
  t.regex(await readFile(join(run, 'report.html'), 'utf8'), /<svg/)
  t.like(parse(await readFile(join(run, 'config.yaml'), 'utf8')), {
    training: { steps: 4 },
    sampling: { topP: 1 },
  })
})

test.serial('the teacher of a run can be named as a model', async t => {
  const [config, run] = await configFile({ training: { steps: 1 } })
  await rlt(['train', config])
  const args = ['--model', join(run, 'checkpoints', 'step-1'), '--dtype', 'float32', '--json']
  const { code, stdout, stderr } = await rlt(['generate', ...args, '--prompt', 'a', '--max-new-tokens', '3'])
  t.is(code, 0, stderr)
  t.true(JSON.parse(stdout).tokens.length > 0)
})

test.serial('Ctrl-C saves, says how to go on, and going on gives what an unbroken run gives', async t => {
  t.timeout(300_000)
  const training = { steps: 60, saveEvery: 20 }
  const [unbroken, unbrokenRun] = await configFile({ training })
  t.is((await rlt(['train', unbroken])).code, 0)

  const [config, run] = await configFile({ training })
  const child = startRlt(['train', config])
  const ended = new Promise(resolve => child.on('close', resolve))
  let stderr = ''
  child.stderr.on('data', chunk => (stderr += chunk))
  await said(child, 'step 3/60')
  child.kill('SIGINT')
  t.is(await ended, 0, stderr)
  t.regex(stderr, /Stopping…/)
  const [, step] = /Stopped after step (\d+) of 60, which is saved\.\nGo on with: rlt train --resume /.exec(
    stderr,
  )!
  t.true(Number(step) >= 3 && Number(step) < 60)

  const resumed = await rlt(['train', '--resume', run])
  t.is(resumed.code, 0, resumed.stderr)
  t.true(resumed.stderr.includes(`step ${Number(step) + 1}/60`))
  t.false(resumed.stderr.includes(`step ${step}/60`))
  // Metrics, measurements, explanations, and every byte of the last checkpoint, the optimizer's state included.
  t.deepEqual(await results(run), await results(unbrokenRun))
})

test.serial('a second Ctrl-C ends at once', async t => {
  const [config] = await configFile({ training: { steps: 5000 } })
  const child = startRlt(['train', config])
  const ended = new Promise(resolve => child.on('close', resolve))
  await said(child, 'step 2/')
  child.kill('SIGINT')
  child.kill('SIGINT')
  // 0 where it was quicker to save than the second signal to arrive.
  t.true([0, 130].includes((await ended) as number))
})

test.serial('a damaged checkpoint is told of, and the run goes on from the one before it', async t => {
  const [config, run] = await configFile()
  await rlt(['train', config])
  await truncate(join(run, 'checkpoints', 'step-4', 'model.safetensors'), 1000)
  const { code, stderr } = await rlt(['train', '--resume', run])
  t.is(code, 0, stderr)
  t.regex(stderr, /warning: .*step-4 is damaged \(model\.safetensors has 1000 bytes, not \d+\)/)
  t.true(stderr.includes('step 3/4'))
  t.deepEqual(
    (await readRows(join(run, 'metrics.jsonl'))).map(row => row.step),
    [1, 2, 3, 4],
  )
})

test.serial('a run that is finished can be made longer', async t => {
  const [config, run] = await configFile()
  await rlt(['train', config])
  const { code, stderr } = await rlt(['train', '--resume', run, '--set', 'training.steps=6'])
  t.is(code, 0, stderr)
  t.is((await readRows(join(run, 'metrics.jsonl'))).length, 6)
})

test.serial('a folder with a run is not started over', async t => {
  const [config, run] = await configFile({ training: { steps: 1 } })
  await rlt(['train', config])
  const before = await readFile(join(run, 'metrics.jsonl'), 'utf8')
  const { code, stderr } = await rlt(['train', config])
  t.is(code, 1)
  t.regex(stderr, /^error: .* holds a run already\. Go on with it: rlt train --resume /)
  t.is(await readFile(join(run, 'metrics.jsonl'), 'utf8'), before)
})

test.serial('two processes cannot work on one run', async t => {
  const [config, run] = await configFile({ training: { steps: 5000 } })
  const child = startRlt(['train', config])
  const ended = new Promise(resolve => child.on('close', resolve))
  await said(child, 'step 1/')
  const { code, stderr } = await rlt(['train', '--resume', run])
  t.is(code, 1)
  t.regex(stderr, new RegExp(`in use by process ${child.pid} `))
  child.kill('SIGKILL')
  await ended
})

test.serial('a broken line of the data is named with its file', async t => {
  const data = join(folder, 'broken.jsonl')
  await writeFile(data, `${'{"question": "what?", "solution": "that."}\n'.repeat(36)}{"question": \n`)
  const [config] = await configFile({ data: { train: { path: data } } })
  const { code, stderr } = await rlt(['train', config])
  t.is(code, 1)
  t.true(stderr.includes(`${data}:37`), stderr)
})

test.serial('--set and --threads reach the run', async t => {
  const [config, run] = await configFile({ training: { steps: 1 } })
  await rlt([
    'train',
    config,
    '--threads',
    '2',
    '--set',
    'optimizer.learningRate=0.5',
    '--set',
    `teacher.model=${model}`,
  ])
  t.is((await readRows(join(run, 'metrics.jsonl')))[0]!.lr, 0.5)
  t.is(parse(await readFile(join(run, 'config.yaml'), 'utf8')).threads, 2)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
