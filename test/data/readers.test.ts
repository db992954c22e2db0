import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { trainSchema } from '../../lib/config/index.js'
import { readDataset, readSource } from '../../lib/data/index.js'
import { DataError } from '../../lib/errors.js'

const folder = await mkdtemp(join(tmpdir(), 'rlt-readers-'))

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

/** The `data` part of a configuration with its defaults. */
function dataConfig(data: Record<string, unknown>) {
  return trainSchema.parse({ teacher: { model: 'm' }, students: [{ model: 'm' }], data }).data
}

const read = (path: string, options: Record<string, unknown> = {}) =>
  readSource(dataConfig({ train: { path, ...options } }).train, 'data.train')

const line = (i: number) => JSON.stringify({ question: `q${i}`, solution: `s${i}` })
const lines = (count: number) => Array.from({ length: count }, (_, i) => line(i + 1))

test('JSON Lines: one row a line, each with its place', async t => {
  const path = await file('plain.jsonl', `${lines(2).join('\n')}\n`)
  t.deepEqual(await read(path), [
    { question: 'q1', solution: 's1', answer: null, origin: `${path}:1` },
    { question: 'q2', solution: 's2', answer: null, origin: `${path}:2` },
  ])
})

test('JSON Lines: a byte-order mark, CRLF, empty lines and a missing last line end do no harm', async t => {
  const path = await file('windows.jsonl', `\uFEFF${line(1)}\r\n\r\n${line(2)}`)
  const rows = await read(path)
  t.deepEqual(
    rows.map(({ question, origin }) => [question, origin]),
    [
      ['q1', `${path}:1`],
      ['q2', `${path}:3`],
    ],
  )
})

test('JSON Lines: a line longer than what is read at once, with characters of several bytes', async t => {
  const question = 'wie groß? 日本語 🦉 '.repeat(30_000)
  const path = await file('long.jsonl', `${JSON.stringify({ question, solution: 's' })}\n${line(2)}\n`)
  const rows = await read(path)
  t.is(rows[0]!.question, question)
  t.is(rows[1]!.origin, `${path}:2`)
})

test('a line that is not JSON is named', async t => {
  const content = [...lines(36), '{"question": "q", "solution": ', ...lines(3)].join('\n')
  const path = await file('broken.jsonl', content)
  const error = await t.throwsAsync(read(path), { instanceOf: DataError })
  t.true(error.message.startsWith(`${path}:37: `), error.message)
})

test('nothing after the last row asked for is read', async t => {
  const path = await file('broken-later.jsonl', [...lines(5), 'not JSON'].join('\n'))
  const rows = await read(path, { skip: 1, limit: 4 })
  t.deepEqual(
    rows.map(({ question }) => question),
    ['q2', 'q3', 'q4', 'q5'],
  )
})

test('a line that is JSON but no object is named', async t => {
  const path = await file('list.jsonl', `${line(1)}\n["q", "s"]\n`)
  const error = await t.throwsAsync(read(path), { instanceOf: DataError })
  t.regex(error.message, /list\.jsonl:2: .*list/)
})

test('a column that is missing: the columns that there are, and the one probably meant', async t => {
  const path = await file('columns.jsonl', `${JSON.stringify({ prompt: 'q', solutions: 's' })}\n`)
  const error = await t.throwsAsync(read(path, { columns: { question: 'prompt' } }), {
    instanceOf: DataError,
  })
  t.true(error.message.includes(`${path}:1`))
  t.regex(error.message, /no column solution\b/)
  t.regex(error.message, /prompt, solutions/)
  t.regex(error.message, /Did you mean solutions\?/)
  t.regex(error.message, /data\.train\.columns\.solution/)
})

test('a column that is missing in a later line only', async t => {
  const path = await file('ragged.jsonl', `${line(1)}\n${line(2)}\n{"question": "q"}\n`)
  const error = await t.throwsAsync(read(path), { instanceOf: DataError })
  t.true(error.message.includes(`${path}:3`))
})

test('a column without a text in it is named', async t => {
  for (const [value, said] of [
    [null, /null/],
    [['s'], /list/],
    [{ text: 's' }, /object/],
    ['  ', /empty/],
  ] as const) {
    const path = await file('values.jsonl', `${JSON.stringify({ question: 'q', solution: value })}\n`)
    const error = await t.throwsAsync(read(path), { instanceOf: DataError })
    t.regex(error.message, /values\.jsonl:1: .*solution/)
    t.regex(error.message, said)
  }
})

test('columns can be nested, or a part of a text', async t => {
  const row = {
    conversations: [
      { from: 'user', value: 'How many?' },
      { from: 'assistant', value: 'Well.\n<|begin_of_solution|>\n\nTwo.\n\n<|end_of_solution|>' },
    ],
    number: 2,
  }
  const path = await file('nested.jsonl', JSON.stringify(row))
  const [only] = await read(path, {
    columns: {
      question: 'conversations.0.value',
      solution: {
        column: 'conversations.1.value',
        between: ['<|begin_of_solution|>', '<|end_of_solution|>'],
      },
      answer: 'number',
    },
  })
  t.deepEqual(only, { question: 'How many?', solution: 'Two.', answer: '2', origin: `${path}:1` })
})

test('a text that lacks the marks between which a column lies is named', async t => {
  const path = await file('marks.jsonl', `${line(1)}\n`)
  const columns = { solution: { column: 'solution', between: ['<a>', '</a>'] } }
  const error = await t.throwsAsync(read(path, { columns }), { instanceOf: DataError })
  t.regex(error.message, /marks\.jsonl:1: .*<a>/)
})

test('JSON: a list of objects', async t => {
  const path = await file('rows.json', `[\n${lines(3).join(',\n')}\n]`)
  const rows = await read(path, { skip: 2 })
  t.like(rows, [{ question: 'q3' }])
  t.true(rows[0]!.origin.includes(`${path}, row 3`))
})

test('JSON that is broken, or no list', async t => {
  const broken = await file('broken.json', `[\n${line(1)},\n{"question": }\n]`)
  const first = await t.throwsAsync(read(broken), { instanceOf: DataError })
  t.true(first.message.includes(broken))
  const object = await file('object.json', '{"rows": []}')
  const second = await t.throwsAsync(read(object), { instanceOf: DataError })
  t.regex(second.message, /expected a list/)
})

test('CSV: quoted fields may hold commas, quotes and line breaks; a row is named by its first line', async t => {
  const path = await file('rows.csv', 'question,solution\n"a, ""b""\nc",s1\nq2,s2\n')
  t.deepEqual(await read(path), [
    { question: 'a, "b"\nc', solution: 's1', answer: null, origin: `${path}:2` },
    { question: 'q2', solution: 's2', answer: null, origin: `${path}:4` },
  ])
})

test('CSV: a row with too many or too few fields is named', async t => {
  const path = await file('ragged.csv', 'question,solution\nq1,s1\nq2\n')
  const error = await t.throwsAsync(read(path), { instanceOf: DataError })
  t.regex(error.message, /ragged\.csv:3: /)
})

const parquet = (count: number) => {
  const numbers = Array.from({ length: count }, (_, i) => i + 1)
  const content = parquetWriteBuffer({
    columnData: [
      { name: 'question', data: numbers.map(i => `q${i}`), type: 'STRING' },
      { name: 'solution', data: numbers.map(i => `s${i}`), type: 'STRING' },
    ],
  })
  return new Uint8Array(content)
}

test('Parquet: more rows than are decoded at a time, in their order', async t => {
  const path = await file('rows.parquet', parquet(2500))
  const rows = await read(path)
  t.deepEqual(
    rows.map(({ question, solution }) => [question, solution]),
    Array.from({ length: 2500 }, (_, i) => [`q${i + 1}`, `s${i + 1}`]),
  )
  t.true(rows[1999]!.origin.includes(`${path}, row 2000`))
})

test('Parquet: a damaged file', async t => {
  const path = await file('cut.parquet', parquet(100).subarray(0, 200))
  const error = await t.throwsAsync(read(path), { instanceOf: DataError })
  t.true(error.message.includes(path))
})

test('the format can be told where the name does not tell', async t => {
  const path = await file('rows.txt', `${line(1)}\n`)
  const error = await t.throwsAsync(read(path), { instanceOf: DataError })
  t.regex(error.message, /\.jsonl, .*\.parquet/)
  t.is((await read(path, { format: 'jsonl' })).length, 1)
})

test('files that cannot be read', async t => {
  for (const [path, said] of [
    [join(folder, 'absent.jsonl'), /absent\.jsonl .*no such file/],
    [join(folder, 'absent.parquet'), /absent\.parquet .*no such file/],
    [join(folder, 'absent.csv'), /absent\.csv .*no such file/],
    [join(folder, 'absent.json'), /absent\.json .*no such file/],
    [await file('latin.jsonl', Buffer.from('{"question": "gro\xdf"}', 'latin1')), /latin\.jsonl.*UTF-8/],
    [await file('empty.jsonl', ''), /no rows/],
  ] as const) {
    const error = await t.throwsAsync(read(path), { instanceOf: DataError })
    t.regex(error.message, said)
  }
})

test('held-out rows are the last ones, and are not trained on', async t => {
  const path = await file('split.jsonl', lines(10).join('\n'))
  const { train, heldOut } = await readDataset(dataConfig({ train: { path }, heldOut: { rows: 3 } }))
  t.deepEqual(
    train.map(({ question }) => question),
    ['q1', 'q2', 'q3', 'q4', 'q5', 'q6', 'q7'],
  )
  t.deepEqual(
    heldOut.map(({ question }) => question),
    ['q8', 'q9', 'q10'],
  )
})

test('at least one row must be left to train on', async t => {
  const path = await file('three.jsonl', lines(3).join('\n'))
  const error = await t.throwsAsync(readDataset(dataConfig({ train: { path }, heldOut: { rows: 3 } })), {
    instanceOf: DataError,
  })
  t.regex(error.message, /data\.heldOut\.rows is 3, but data\.train has 3 rows/)
})

test('the rows shipped for the quickstart', async t => {
  const { packageRoot } = await import('../../lib/packageRoot.js')
  const rows = await read(join(packageRoot(), 'examples', 'gsm8k', 'train.jsonl'), {
    columns: { answer: 'answer' },
  })
  t.is(rows.length, 256)
  t.true(rows.every(({ solution, answer }) => solution.endsWith(`The answer is \\boxed{${answer}}.`)))
})
