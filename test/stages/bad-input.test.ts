import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ConfigurationError, DataError, ModelError } from '../../lib/errors.js'
import type { TrainEvent } from '../../lib/report/index.js'
import { train } from '../../lib/stages/train.js'
import { writeTinyModel } from './tiny-model.js'
import { folder, otherTokenizer, readRows, tinyConfig } from './tiny-run.js'

const oneStep = { steps: 1 }

async function writeModule(name: string, source: string): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, source)
  return file
}

function warnings() {
  const texts: string[] = []
  const onEvent = (event: TrainEvent) => {
    if (event.type === 'message' && event.level === 'warning') texts.push(event.text)
  }
  return { texts, onEvent }
}

test('a student with another tokenizer: what that allows and what it forbids', async t => {
  const students = [{ model: otherTokenizer }]
  const error = await t.throwsAsync(train(tinyConfig({ students })), { instanceOf: ConfigurationError })
  t.regex(error.message, /another tokenizer/)
  t.regex(error.message, /allows: understanding/)
  t.regex(error.message, /forbids: naturalness/)
  t.regex(error.message, /reward\.naturalness\.coefficient=0/)
})

test('a student with another tokenizer is scored on understanding, on its own tokens of the same text', async t => {
  // The same weights but for the order of the vocabulary would be the same model; these are others, so only their
  // being scored, each in its own tokens, is compared.
  const run = async (students: { model: string }[]) => {
    const { folder: path } = await train(
      tinyConfig({ students, reward: { naturalness: { coefficient: 0 } }, training: oneStep }),
    )
    const [row] = await readRows(join(path, 'metrics.jsonl'))
    return row!
  }
  const other = await run([{ model: otherTokenizer }])
  const own = await run([{ model: 'teacher' }])
  t.is(other['reward/naturalness'], null)
  t.is(other.missing_end_fraction, own.missing_end_fraction)
  t.true(Number.isFinite(other['reward/understanding']))
  t.not(other['reward/understanding'], own['reward/understanding'])

  const both = await run([{ model: otherTokenizer }, { model: 'teacher' }])
  const mean = ((other['reward/understanding'] as number) + (own['reward/understanding'] as number)) / 2
  // All in float32, of log-probabilities near 4: 1e-6 each.
  t.true(Math.abs((both['reward/understanding'] as number) - mean) < 1e-5)
})

test('a NaN of the user takes an explanation out of its group and spoils nothing', async t => {
  const module = await writeModule(
    'sometimes-nan.ts',
    `export const reward = ({ explanation }: { explanation: string }): number =>
       explanation.length % 2 === 0 ? Number.NaN : 1`,
  )
  const { folder: run } = await train(tinyConfig({ reward: { terms: [{ module }] } }))
  const metrics = await readRows(join(run, 'metrics.jsonl'))
  t.true(metrics.some(row => (row.nan_rewards as number) > 0))
  for (const row of metrics)
    for (const key of ['reward', 'grad_norm', 'loss', 'kl_ref']) t.true(Number.isFinite(row[key]), key)
  const completions = await readRows(join(run, 'completions', 'step-000001.jsonl'))
  for (const row of completions)
    if (row.ended && (row.explanation as string).length % 2 === 0) {
      t.is(row.reward, null)
      t.is(row.advantage, 0)
    }
})

test('reward modules that cannot be used are named before a model is loaded', async t => {
  const cases: [string, RegExp][] = [
    [join(folder, 'absent.ts'), /absent\.ts cannot be loaded/],
    [await writeModule('syntax.ts', 'export function reward( {'), /syntax\.ts cannot be loaded/],
    [await writeModule('named.mjs', 'export const rewards = () => 1'), /exports rewards; .*is rewards meant/],
    [await writeModule('empty.ts', ''), /exports nothing; expected a function named reward/],
  ]
  for (const [module, message] of cases) {
    const config = tinyConfig({ teacher: { model: '/nonexistent/model' }, reward: { terms: [{ module }] } })
    const error = await t.throwsAsync(train(config), { instanceOf: ConfigurationError })
    t.regex(error.message, message)
  }
})

test('a reward module that returns no number is named', async t => {
  const module = await writeModule('text.ts', 'export const reward = () => "good"')
  const config = tinyConfig({ reward: { terms: [{ module }] } })
  const error = await t.throwsAsync(train(config), { instanceOf: ConfigurationError })
  t.regex(error.message, /text\.ts returned a string; expected a number/)
})

test('a question that is too long for the context is named, with the lengths', async t => {
  const path = join(folder, 'long.jsonl')
  const rows = [1, 2, 3, 4].map(i => ({
    question: i === 3 ? 'long '.repeat(100) : 'short',
    solution: 'yes.',
  }))
  await writeFile(path, rows.map(row => JSON.stringify(row)).join('\n'))
  const data = { train: { path }, heldOut: null }
  const error = await t.throwsAsync(train(tinyConfig({ data })), { instanceOf: DataError })
  t.regex(error.message, /long\.jsonl:3: the teacher's prompt has \d{3} tokens; expected at most 464/)
  t.regex(error.message, /data\.longPrompts: skip/)

  const { texts, onEvent } = warnings()
  const { finished } = await train(
    tinyConfig({ data: { ...data, longPrompts: 'skip' }, training: oneStep }),
    { onEvent },
  )
  t.true(finished)
  t.regex(texts.join('\n'), /1 of 4 rows are left out; the first, .*long\.jsonl:3/)
})

test("a student's context that is too short is found out before the first step", async t => {
  const student = await writeTinyModel(join(folder, 'short'), { seed: 3, maxPositions: 64 })
  const config = tinyConfig({ students: [{ model: student }] })
  const error = await t.throwsAsync(train(config), { instanceOf: DataError })
  t.regex(error.message, /data\.jsonl:1: .* the context of the student .*short is 64/)
})

test('explanations that never end: the penalty for all, and the user is told', async t => {
  const { texts, onEvent } = warnings()
  const { folder: run } = await train(
    tinyConfig({ sampling: { maxNewTokens: 1 }, format: { endOfExplanation: { tag: 'qed' } } }),
    { onEvent },
  )
  for (const row of await readRows(join(run, 'metrics.jsonl'))) {
    t.is(row.reward, -8)
    t.is(row.missing_end_fraction, 1)
    t.is(row.zero_variance_groups, 2)
  }
  t.is(texts.filter(text => text.includes('no explanation was ended within 1 tokens')).length, 1)
})

test('a penalty that is better than what ended explanations get is told of', async t => {
  const { texts, onEvent } = warnings()
  await train(tinyConfig({ reward: { missingEnd: -1 } }), { onEvent })
  t.is(texts.filter(text => text.includes('the teacher will learn not to end')).length, 1)
})

test('models and files that are not there', async t => {
  const models = tinyConfig({ students: [{ model: join(folder, 'nobody') }] })
  const first = await t.throwsAsync(train(models), { instanceOf: ModelError })
  t.regex(first.message, /nobody/)
  const data = tinyConfig({ data: { train: { path: join(folder, 'nothing.jsonl') } } })
  const second = await t.throwsAsync(train(data), { instanceOf: DataError })
  t.regex(second.message, /nothing\.jsonl cannot be read: there is no such file/)
  // The run folder is free again.
  t.true((await train({ ...tinyConfig({ training: oneStep }), output: data.output! })).finished)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
