import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { batches, readJsonLines } from '../../lib/cli/json-lines.js'
import { DataError } from '../../lib/errors.js'

async function file(content: string | Uint8Array): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'rlt-lines-')), 'in.jsonl')
  await writeFile(path, content)
  return path
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const read = async (content: string | Uint8Array) => {
  const lines = await collect(readJsonLines(await file(content), value => value))
  return lines.map(({ value, place }) => [value, Number(place.split(':').at(-1))])
}

test('each line comes with its number; empty lines are counted and left out', async t => {
  t.deepEqual(await read('1\n\n  \n2\r\n3'), [
    [1, 1],
    [2, 4],
    [3, 5],
  ])
})

test('a byte order mark at the start is no part of the line', async t => {
  t.deepEqual(await read('\uFEFF{"a":1}\n'), [[{ a: 1 }, 1]])
})

test('the line separators of Unicode may stand in a text', async t => {
  t.deepEqual(await read('"a\u2028b\u2029c\u0085d"\n2\n'), [
    ['a\u2028b\u2029c\u0085d', 1],
    [2, 2],
  ])
})

test('a character that is split between two reads of the file stays whole', async t => {
  // Three bytes a character, and no power of two is a multiple of three.
  const text = '€'.repeat(200_000)
  t.deepEqual(await read(JSON.stringify(text)), [[text, 1]])
})

test('a fault is named with file and line', async t => {
  const path = await file('1\n{"a"\n')
  await t.throwsAsync(collect(readJsonLines(path, value => value)), {
    instanceOf: DataError,
    message: new RegExp(`^${path}:2: this line is not JSON: `),
  })
})

test('what comes before a fault is handed on before the fault is raised', async t => {
  async function* faulty() {
    yield* [1, 2, 3]
    throw new Error('line 4')
  }
  const seen: number[][] = []
  const reading = async () => {
    for await (const batch of batches(faulty(), 2)) seen.push(batch)
  }
  await t.throwsAsync(reading(), { message: 'line 4' })
  t.deepEqual(seen, [[1, 2], [3]])
})

test('a batch is handed on as soon as it is full', async t => {
  let taken = 0
  async function* counting() {
    for (;;) yield ++taken
  }
  for await (const batch of batches(counting(), 3)) {
    t.deepEqual(batch, [1, 2, 3])
    break
  }
  t.is(taken, 3)
})
