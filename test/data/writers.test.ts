import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { asJson, type Columns, ColumnTypes, createRowWriter, type OutputRow } from '../../lib/data/index.js'
import { readParquet } from '../../lib/data/readers/parquet.js'
import { ConfigurationError } from '../../lib/errors.js'

const folder = await mkdtemp(join(tmpdir(), 'rlt-writers-'))

async function written(rows: readonly OutputRow[], columns: Columns, name: string): Promise<unknown[]> {
  const file = join(folder, name)
  const writer = await createRowWriter(file, columns)
  for (const row of rows) await writer.write([row])
  await writer.finish()
  const read: unknown[] = []
  // The reader gives undefined for fields of fields that are null.
  for await (const { values } of readParquet(file)) read.push(asJson(values))
  return read
}

test('the types of columns are found from the rows', t => {
  const types = new ColumnTypes()
  types.add({ a: 1, b: 'x', c: null, d: true, e: [1], f: 1, g: 'text' })
  types.add({ a: 2.5, b: 'y', c: null, d: null, e: {}, f: 2, g: 3, h: 2 ** 40 })
  t.deepEqual(types.columns(), {
    ...{ a: 'number', b: 'text', c: 'text', d: 'boolean', e: 'json', f: 'integer', g: 'json', h: 'number' },
  })
})

test('Parquet: every type, nulls, fields of fields, and more rows than one group has', async t => {
  const columns: Columns = {
    ...{ text: 'text', integer: 'integer', number: 'number', flag: 'boolean', any: 'json' },
    parts: { fields: { a: 'number', b: 'number' } },
  }
  const rows = Array.from({ length: 2500 }, (_, i) =>
    i % 7 === 3
      ? { text: null, integer: null, number: null, flag: null, any: null, parts: null }
      : {
          ...{
            text: `Ω ${i}\u2028`,
            integer: i - 5,
            number: i / 3,
            flag: i % 2 === 0,
            any: [i, { x: null }],
          },
          parts: { a: -i, b: i % 2 === 0 ? null : 0.5 },
        },
  )
  t.deepEqual(await written(rows, columns, 'all.parquet'), rows)
})

test('what is not finite is null, and a row without a column has null there', async t => {
  const rows = [{ a: Number.NaN, b: 1 }, { b: Number.NEGATIVE_INFINITY }]
  t.deepEqual(await written(rows, { a: 'number', b: 'number' }, 'nan.parquet'), [
    { a: null, b: 1 },
    { a: null, b: null },
  ])
})

test('what Parquet files hold and JSON does not', t => {
  t.deepEqual(asJson({ small: 5n, large: 2n ** 60n, date: new Date(0), bytes: new Uint8Array([1, 2]) }), {
    small: 5,
    large: '1152921504606846976',
    date: '1970-01-01T00:00:00.000Z',
    bytes: 'AQI=',
  })
})

test('a file appears when it is complete, or not at all', async t => {
  for (const name of ['given-up.jsonl', 'given-up.parquet']) {
    const file = join(folder, name)
    const writer = await createRowWriter(file, { a: 'integer' })
    await writer.write([{ a: 1 }])
    t.false((await readdir(folder)).includes(name))
    await writer.abandon()
    t.deepEqual(
      (await readdir(folder)).filter(found => found.startsWith('given-up')),
      [],
    )
  }
})

test('JSON Lines that are to be seen grow', async t => {
  const file = join(folder, 'growing.jsonl')
  const writer = await createRowWriter(file, {}, { growing: true })
  await writer.write([{ a: 1 }])
  t.is(await readFile(file, 'utf8'), '{"a":1}\n')
  await writer.write([{ a: 2 }])
  await writer.finish()
  t.is(await readFile(file, 'utf8'), '{"a":1}\n{"a":2}\n')
})

test('a name that says no format', async t => {
  await t.throwsAsync(createRowWriter('rows.txt', {}), {
    instanceOf: ConfigurationError,
    message: /rows\.txt: .*expected \.jsonl, \.ndjson, \.parquet/,
  })
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
