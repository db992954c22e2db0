/** rlt evaluate and rlt countdown as a user meets them. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { stringify } from 'yaml'
import { checkCountdown } from '../../lib/countdown/index.js'
import { folder, model, readRows } from '../stages/tiny-run.js'
import { rlt } from './run-rlt.js'

const file = join(folder, 'asked.jsonl')
await writeFile(
  file,
  Array.from(
    { length: 3 },
    (_, i) => `${JSON.stringify({ question: `what is ${i}?`, answer: String(i) })}\n`,
  ).join(''),
)
const short = ['--dtype', 'float32', '--threads', '1', '--max-new-tokens', '16']

test.serial('evaluate: figures for people, and for machines as the last output', async t => {
  const output = await mkdtemp(join(folder, 'evaluated-'))
  const args = ['evaluate', '--model', model, '--task', file, ...short, '--output', output]
  const people = await rlt(args)
  t.is(people.code, 0, people.stderr)
  t.regex(people.stdout, /asked\.jsonl, .*: 3 questions, 1 sample each\n {2}avg@1 {3}\d/)
  t.regex(people.stderr, /3 of 3 questions, accuracy/)
  const machines = await rlt([...args, '--json'])
  t.is(machines.code, 0, machines.stderr)
  const { results, finished, outputs } = JSON.parse(machines.stdout)
  t.true(finished)
  t.like(results[0], { model, task: 'asked.jsonl', questions: 3, samples: 1 })
  t.is((await readRows(outputs)).length, 3)
})

test.serial('evaluate: a configuration, and options over it', async t => {
  const output = await mkdtemp(join(folder, 'evaluated-'))
  const config = join(folder, 'evaluate.yaml')
  await writeFile(
    config,
    stringify({ models: [{ model }], tasks: [{ path: 'asked.jsonl' }], output: { folder: output } }),
  )
  const args = [
    'evaluate',
    config,
    ...short,
    '--limit',
    '2',
    '--samples',
    '2',
    '--temperature',
    '1',
    '--k',
    '1,2',
  ]
  const { code, stdout, stderr } = await rlt([...args, '--json'])
  t.is(code, 0, stderr)
  const { results } = JSON.parse(stdout)
  t.like(results[0], { questions: 2, samples: 2 })
  t.deepEqual(Object.keys(results[0].passAt), ['1', '2'])
})

test.serial('evaluate: wrong use is told before anything is done', async t => {
  for (const [args, message] of [
    [['--model', model], /tasks: missing/],
    [['--task', file], /models: missing/],
    [['--model', model, '--task', file, '--samples', '0'], /--samples: expected a whole number/],
    [['--model', model, '--task', 'gpqa'], /gpqa_diamond\.csv/],
    [['--model', model, '--task', file, '--k', '4'], /pass@4/],
    [['--server', 'http://127.0.0.1:1/v1', '--task', file], /--server: expected --model/],
    [['--model', model, '--data', file], /--data: expected one --task/],
  ] as const) {
    const { code, stderr } = await rlt(['evaluate', ...args])
    t.is(code, 2, stderr)
    t.regex(stderr, message)
  }
  const { code, stdout } = await rlt(['evaluate', '--help'])
  t.is(code, 0)
  t.regex(stdout, /--task gsm8k/)
})

test.serial('countdown: rows that are right, the same for the same seed', async t => {
  const output = join(folder, 'countdown-cli.jsonl')
  const args = ['countdown', '--count', '20', '--seed', '5', '--numbers', '4']
  const { code, stdout, stderr } = await rlt([...args, '--output', output, '--json'])
  t.is(code, 0, stderr)
  t.deepEqual(JSON.parse(stdout), { output, problems: 20 })
  const rows = (await readRows(output)) as { numbers: number[]; target: number; answer: string }[]
  t.is(rows.length, 20)
  for (const { numbers, target, answer } of rows) {
    t.is(numbers.length, 4)
    t.true(checkCountdown(answer, numbers, target).correct)
  }
  const printed = await rlt(args)
  t.is(printed.stdout, await readFile(output, 'utf8'))
  const later = await rlt([...args, '--count', '5', '--skip', '15'].filter((_, i) => i !== 1 && i !== 2))
  t.is(later.stdout, printed.stdout.split('\n').slice(15).join('\n'))
  t.is((await rlt(['countdown', '--numbers', 'many'])).code, 2)
})
