import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test from 'ava'
import type { ExplainConfigInput } from '../../lib/config/index.js'
import { readParquet } from '../../lib/data/readers/parquet.js'
import { Model } from '../../lib/engine/index.js'
import { ConfigurationError, DataError } from '../../lib/errors.js'
import { RunError } from '../../lib/runs/index.js'
import { withoutDuplicates } from '../../lib/stages/explain/selection.js'
import { type ExplainEvent, explain } from '../../lib/stages/explain.js'
import { killedAnywhere, killedAt, tinyExplain } from './tiny-explain.js'
import { writeTinyModel } from './tiny-model.js'
import { dataFile, folder, type JsonRow, model, otherTokenizer, readRows } from './tiny-run.js'

const bytesOf = async (file: string) => (await readFile(file)).toString('base64')

async function explained(config: ExplainConfigInput & { output: { path: string } }): Promise<JsonRow[]> {
  await explain(config)
  return readRows(config.output.path)
}

async function dataOf(rows: readonly object[]): Promise<string> {
  const path = join(folder, `data-${Math.random().toString(36).slice(2)}.jsonl`)
  await writeFile(path, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  return path
}

async function tokenizerOf(name: string) {
  const loaded = await Model.load(name, { dtype: 'float32', device: 'cpu' })
  return { tokenizer: loaded.tokenizer, dispose: () => loaded.dispose() }
}

test('each question is explained, in the order of the data, the best explanation first', async t => {
  const config = await tinyExplain()
  const result = await explain(config)
  const rows = await readRows(config.output.path)
  t.like(result, { questions: 7, totalQuestions: 7, explanations: rows.length, finished: true })
  t.true(rows.length > 7, 'some questions have several')
  const data = await readRows(dataFile)
  const questions = rows.map(row => row.question)
  const order = data.map(row => row.question).filter(question => questions.includes(question))
  t.deepEqual([...new Set(questions)], order)
  for (const question of order) {
    const own = rows.filter(row => row.question === question)
    t.deepEqual(
      own.map(row => row.rank as number),
      own.map((_, i) => i + 1),
    )
    const rewards = own.map(row => row.reward as number)
    t.deepEqual(
      rewards,
      rewards.toSorted((a, b) => b - a),
    )
    t.is(new Set(own.map(row => row.explanation)).size, own.length)
  }
  for (const row of rows) {
    t.deepEqual(Object.keys(row), [
      ...['question', 'solution', 'explanation', 'reward', 'parts', 'rank', 'tokens', 'finish'],
    ])
    const { understanding, naturalness } = row.parts as Record<string, number>
    // The parts of one student: reward = understanding - 3 naturalness, in float64.
    t.true(Math.abs((row.reward as number) - (understanding! - 3 * naturalness!)) < 1e-12)
    t.is(row.finish, 'stop')
    t.is(
      (row.explanation as string).replaceAll(/<\|\w+\|>|<\/explanation>/g, '.').length,
      row.tokens as number,
    )
  }
  const mean = rows.reduce((sum, row) => sum + (row.reward as number), 0) / rows.length
  t.true(Math.abs(result.meanReward! - mean) < 1e-12)
})

test('only the best are kept if so many are asked for', async t => {
  const all = await explained(await tinyExplain())
  const best = await explained(await tinyExplain({ keep: 1 }))
  t.deepEqual(
    best,
    all.filter(row => row.rank === 1),
  )
})

test('the answer goes along where the data have one', async t => {
  const path = await dataOf([{ question: 'what?', solution: 'that.', answer: '42' }])
  const rows = await explained(
    await tinyExplain({ data: { path, columns: { answer: 'answer' } }, sampling: { completions: 16 } }),
  )
  t.true(rows.length > 0)
  for (const row of rows) t.is(row.answer, '42')
})

for (const [event, count, name] of [
  ['sample', 12, 'explanations.jsonl'],
  ['score', 3, 'explanations.jsonl'],
  ['batch', 2, 'explanations.jsonl'],
  ['batch', 3, 'explanations.parquet'],
] as const)
  test(`killed at ${event} ${count} and gone on with: the same bytes, ${name}`, async t => {
    // A question that is too long is among what has to be remembered.
    const data = await readRows(dataFile)
    const path = await dataOf(data.toSpliced(1, 0, { question: 'long '.repeat(100), solution: 'yes.' }))
    const unbroken = await tinyExplain({ data: { path } }, name)
    await explain(unbroken)
    const config = await tinyExplain({ data: { path } }, name)
    t.is(await killedAt('explain', config, event, count), 'SIGKILL')
    const batches: number[] = []
    const onEvent = (told: ExplainEvent) => {
      if (told.type === 'batch') batches.push(told.questions)
    }
    t.true((await explain(config, { onEvent })).finished)
    if (event === 'batch') t.deepEqual(batches, [2, 4, 6, 8].slice(count), 'nothing is done twice')
    t.is(await bytesOf(config.output.path), await bytesOf(unbroken.output.path))
    const failures = ({ output: { path: output } }: { output: { path: string } }) =>
      join(dirname(output), 'failures.jsonl')
    t.is(await bytesOf(failures(config)), await bytesOf(failures(unbroken)))
    const left = await readdir(dirname(config.output.path))
    t.deepEqual(left.sort(), ['failures.jsonl', name, `${name}.summary.json`].sort())
  })

test('killed at three random moments and gone on with: the same bytes', async t => {
  const unbroken = await tinyExplain()
  await explain(unbroken)
  const config = await tinyExplain()
  await killedAnywhere(t, 'explain', config)
  t.true((await explain(config)).finished)
  t.is(await bytesOf(config.output.path), await bytesOf(unbroken.output.path))
})

test('a journal whose last line was torn is gone on with before it', async t => {
  const config = await tinyExplain()
  await killedAt('explain', config, 'batch', 2)
  await appendFile(join(`${config.output.path}.partial`, 'journal.jsonl'), '{"rows":[{"question":"what')
  await explain(config)
  t.deepEqual(await readRows(config.output.path), await explained(await tinyExplain()))
})

test('aborted: what is finished is there, and it can be gone on with', async t => {
  const config = await tinyExplain()
  const controller = new AbortController()
  const result = await explain(config, {
    signal: controller.signal,
    onEvent: event => {
      if (event.type === 'batch' && event.questions === 4) controller.abort()
    },
  })
  t.like(result, { questions: 4, totalQuestions: 7, finished: false })
  const before = await readFile(config.output.path, 'utf8')
  t.true(before.length > 0)
  t.true((await explain(config)).finished)
  t.true((await readFile(config.output.path, 'utf8')).startsWith(before))
})

test('what is finished is not done again, and nothing is overwritten', async t => {
  const config = await tinyExplain()
  const first = await explain(config)
  const events: ExplainEvent[] = []
  t.deepEqual(await explain(config, { onEvent: event => events.push(event) }), first)
  t.deepEqual(events, [])
  const other = { ...config, seed: 8 }
  await t.throwsAsync(explain(other), { instanceOf: RunError, message: /holds explanations of another/ })
  await rm(`${config.output.path}.summary.json`)
  await t.throwsAsync(explain(config), { instanceOf: RunError, message: /exists already.*output\.path/ })
})

test('a work that was begun with another configuration is not mixed with it', async t => {
  const config = await tinyExplain()
  await killedAt('explain', config, 'batch', 1)
  await t.throwsAsync(explain({ ...config, seed: 8 }), {
    instanceOf: RunError,
    message: /journal\.jsonl was begun with another configuration/,
  })
})

test('Parquet and JSON Lines hold the same rows', async t => {
  const rows = await explained(await tinyExplain())
  const config = await tinyExplain({}, 'explanations.parquet')
  await explain(config)
  const read: unknown[] = []
  for await (const { values } of readParquet(config.output.path)) read.push(values)
  t.deepEqual(read, rows)
})

test('identical explanations of a question are one, and those without an end or a word none', async t => {
  const { tokenizer, dispose } = await tokenizerOf(model)
  const texts = ['one.', 'two.', 'one.', ' ', 'two.', 'three']
  const explanations = texts.map(text => ({
    tokens: tokenizer.encode(text),
    rest: '',
    ended: text !== 'three',
  }))
  const unique = withoutDuplicates(
    {
      ...{ place: 0, row: { question: 'q', solution: 's', answer: null, origin: 'here' }, refusals: [] },
      ...{ prefix: new Int32Array(1), suffixes: explanations.map(({ tokens }) => tokens), explanations },
      finish: texts.map(text => (text === 'three' ? 'length' : 'stop')),
    },
    tokenizer,
  )
  t.deepEqual(unique.texts, ['one.', 'two.'])
  t.like(unique, { sampled: 6, ended: 5, finish: ['stop', 'stop'] })
  t.deepEqual(
    unique.suffixes,
    unique.explanations.map(({ tokens }) => tokens),
  )
  dispose()
})

test('questions without an explanation go to the failures with the reason, and stop nothing', async t => {
  const path = await dataOf([
    { question: 'what?', solution: 'that.' },
    { question: 'long '.repeat(100), solution: 'yes.' },
    { question: 'and?', solution: 'this.' },
  ])
  const config = await tinyExplain({ data: { path }, sampling: { maxNewTokens: 1, completions: 2 } })
  const result = await explain(config)
  t.like(result, { questions: 3, failed: 3, explanations: 0, meanReward: null })
  t.is(result.failures, join(dirname(config.output.path), 'failures.jsonl'))
  const failures = await readRows(result.failures!)
  t.deepEqual(
    failures.map(row => [row.row, row.origin, row.question]),
    [
      [1, `${path}:1`, 'what?'],
      [2, `${path}:2`, 'long '.repeat(100)],
      [3, `${path}:3`, 'and?'],
    ],
  )
  t.regex(failures[0]!.reason as string, /none of its 2 explanations was ended within 1 tokens/)
  t.regex(failures[1]!.reason as string, /the teacher's prompt has \d{3} tokens; expected at most 511/)
})

test('an explanation that a student cannot read is left out with the reason', async t => {
  const path = await dataOf([{ question: 'what is 1 + 1?', solution: '1 + 1 = 2.' }])
  const withContext = async (maxPositions: number) => {
    const student = await writeTinyModel(join(folder, `student-${maxPositions}`), { seed: 3, maxPositions })
    const config = await tinyExplain({
      data: { path },
      students: [{ model: student }],
      sampling: { completions: 16 },
    })
    const { failures } = await explain(config)
    const [failure] = failures === undefined ? [] : await readRows(failures)
    return { rows: await readRows(config.output.path), reason: failure?.reason as string }
  }
  const { reason: short } = await withContext(64)
  const [, needed] = /an explanation of 1 token take (\d+) tokens; the context of the student .* is 64/.exec(
    short,
  )!
  const { rows: all } = await withContext(512)
  const lengths = all.map(row => row.tokens as number).toSorted((a, b) => a - b)
  t.true(lengths.length > 2 && lengths[0]! > 1, `${lengths}`)

  const { reason } = await withContext(Number(needed) + lengths[0]! - 2)
  t.regex(reason, /none of its explanations has a reward: the student .* would have to read \d+ tokens/)
  const { rows: some } = await withContext(Number(needed) + lengths.at(-1)! - 2)
  t.deepEqual(
    new Set(some.map(row => row.explanation)),
    new Set(all.filter(row => (row.tokens as number) < lengths.at(-1)!).map(row => row.explanation)),
  )
})

test('a row that cannot be read is named before a model is loaded', async t => {
  const path = join(folder, 'broken-explain.jsonl')
  await writeFile(path, `${'{"question": "what?", "solution": "that."}\n'.repeat(36)}{"question": \n`)
  const config = await tinyExplain({ data: { path }, teacher: { model: '/nonexistent/model' } })
  const error = await t.throwsAsync(explain(config), { instanceOf: DataError })
  t.true(error.message.includes(`${path}:37`), error.message)
})

test('a student with another tokenizer judges understanding only', async t => {
  const students = [{ model: otherTokenizer }]
  await t.throwsAsync(explain(await tinyExplain({ students })), {
    instanceOf: ConfigurationError,
    message: /another tokenizer/,
  })
  const rows = await explained(await tinyExplain({ students, reward: { naturalness: { coefficient: 0 } } }))
  t.true(rows.length > 0)
  for (const row of rows) t.is((row.parts as JsonRow).naturalness, null)
})

test('settings that cannot work together are named', async t => {
  const cases: [object, RegExp][] = [
    [{ keep: 5 }, /keep: only 4 explanations of a question are sampled/],
    [{ output: { path: 'x.csv' } }, /output\.path: its name is to say the format; expected \.jsonl/],
    [{ teacher: { weights: model } }, /teacher\.weights: there is no teacher\.server/],
    [
      { teacher: { server: 'http://x/v1' } },
      /teacher\.weights: naturalness needs the teacher's log-probabilities/,
    ],
    [{ data: { path: undefined } }, /data: expected one of path and hub, got neither/],
  ]
  for (const [change, message] of cases)
    await t.throwsAsync(explain(await tinyExplain(change)), { instanceOf: ConfigurationError, message })
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
