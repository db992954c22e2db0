/** rlt warmup and rlt distill as a user meets them. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { stringify } from 'yaml'
import { folder, model, readRows } from '../stages/tiny-run.js'
import { tinyDistill, tinyWarmup, tracesFile } from '../stages/tiny-sft.js'
import { rlt, startRlt } from './run-rlt.js'

async function fileOf(config: object): Promise<string> {
  const file = join(await mkdtemp(join(folder, 'cli-')), 'config.yaml')
  await writeFile(file, stringify(config))
  return file
}

for (const [name, config] of [
  ['warmup', tinyWarmup()],
  ['distill', tinyDistill()],
] as const) {
  test.serial(`${name}: steps on stderr, what came of it on stdout, and a report`, async t => {
    const { code, stdout, stderr } = await rlt([name, await fileOf(config), '--json'])
    t.is(code, 0, stderr)
    const run = config.output.folder
    t.like(JSON.parse(stdout), {
      ...{ folder: run, model: join(run, 'model'), modelStep: 6, step: 6, steps: 6, finished: true },
      report: join(run, 'report.html'),
    })
    t.regex(stderr, /held-out loss before training: \d\.\d{4}/)
    t.regex(stderr, /step 6\/6 {2}loss \d\.\d+ {2}lr [\d.e-]+ {2}\d+ tokens/)
    t.true((await readdir(run)).includes('report.html'))
  })

  test.serial(`${name} --help has an example, --options and --check need no model`, async t => {
    const help = await rlt([name, '--help'])
    t.is(help.code, 0)
    t.regex(help.stdout, new RegExp(`rlt ${name} quickstart`))
    t.regex(help.stdout, /--resume/)
    const options = await rlt([name, '--options'])
    t.regex(options.stdout, /training\.tokensPerStep/)
    const check = await rlt([
      name,
      'quickstart',
      '--check',
      '--json',
      '--threads',
      '1',
      '--dtype',
      'bfloat16',
    ])
    const checked = JSON.parse(check.stdout)
    t.like(checked, { threads: 1, training: { rowsPerStep: 16 } })
    t.is((checked.teacher ?? checked.student).dtype, 'bfloat16')
  })
}

test.serial('everything by --set, and a run gone on with', async t => {
  const run = join(folder, 'by-set')
  const sets = [
    ...[`student.model=${model}`, `data.train.path=${tracesFile}`, 'format.style=plain'],
    ...['training.rowsPerStep=4', 'training.steps=2', `output.folder=${run}`],
  ]
  const { code, stderr } = await rlt(['distill', ...sets.flatMap(set => ['--set', set])])
  t.is(code, 0, stderr)
  t.regex(stderr, /Finished\. The model: .*by-set\/model/)
  const again = await rlt(['distill', '--resume', run])
  t.is(again.code, 0, again.stderr)
  t.is((await readRows(join(run, 'metrics.jsonl'))).length, 2)
})

test.serial('Ctrl-C saves, and --resume goes on', async t => {
  const config = tinyDistill({ training: { epochs: 40, evaluateEvery: 0, saveEvery: 0 } })
  const child = startRlt(['distill', await fileOf(config)])
  const ended = new Promise(resolve => child.on('close', resolve))
  let stderr = ''
  let asked = false
  child.stderr.on('data', chunk => {
    stderr += chunk
    // Once only: the second one ends the process at once.
    if (!asked && stderr.includes('step 2/120')) asked = child.kill('SIGINT')
  })
  t.is(await ended, 0, stderr)
  t.regex(stderr, /Stopped after step \d+ of 120, which is saved\.\nGo on with: rlt distill --resume /)
  const resumed = await rlt(['distill', '--resume', config.output.folder, '--json'])
  t.is(resumed.code, 0, resumed.stderr)
  t.like(JSON.parse(resumed.stdout), { step: 120, finished: true })
  const steps = (await readRows(join(config.output.folder, 'metrics.jsonl'))).map(row => row.step)
  t.deepEqual(
    steps,
    Array.from({ length: 120 }, (_, i) => i + 1),
  )
})

const misuse: [string, string[], RegExp][] = [
  ['nothing to learn from', ['distill'], /Name a preset \(paper-17k, paper-1k, quickstart\)/],
  ['an unknown preset', ['warmup', 'quickstrat'], /there is no preset quickstrat; did you mean quickstart\?/],
  ['an unknown option', ['warmup', 'quickstart', '--set', 'training.epoch=2'], /did you mean epochs\?/],
  ['a run that is not there', ['distill', '--resume', '/nowhere'], /\/nowhere is not a run folder/],
  [
    'another type for a run',
    ['distill', '--resume', '/nowhere', '--dtype', 'float32'],
    /--dtype cannot be changed/,
  ],
]

for (const [what, args, message] of misuse)
  test.serial(`misuse ends with 2 and says what to do: ${what}`, async t => {
    const { code, stdout, stderr } = await rlt(args)
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, message)
  })

test.serial('a broken row ends with 1 and is named before a model is loaded', async t => {
  const path = join(folder, 'broken.jsonl')
  await writeFile(
    path,
    '{"question": "q", "solution": "s", "explanation": "e"}\n{"question": "q", "solution": "s"}\n',
  )
  const config = tinyDistill({ data: { train: { path }, heldOut: null }, training: { evaluateEvery: 0 } })
  const { code, stderr } = await rlt(['distill', await fileOf(config), '--set', 'student.model=/nowhere'])
  t.is(code, 1)
  t.regex(stderr, /broken\.jsonl:2: there is no column explanation/)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
