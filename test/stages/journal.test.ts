import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { RunError } from '../../lib/runs/index.js'
import { Journal } from '../../lib/stages/shared/journal.js'

const folder = await mkdtemp(join(tmpdir(), 'rlt-journal-'))
let files = 0
const newFile = () => join(folder, `${files++}.jsonl`)

async function entriesOf(journal: Journal<unknown>): Promise<unknown[]> {
  const entries: unknown[] = []
  for await (const entry of journal.entries()) entries.push(entry)
  return entries
}

test('what was appended is there when it is opened again', async t => {
  const file = newFile()
  const journal = await Journal.open(file, 'this')
  t.is(journal.length, 0)
  await journal.append({ text: 'line\u2028separator\nand end' })
  await journal.append([2])
  const again = await Journal.open(file, 'this')
  t.is(again.length, 2)
  t.deepEqual(await entriesOf(again), [{ text: 'line\u2028separator\nand end' }, [2]])
})

test('cut off after any byte, it is gone on with after its last whole entry', async t => {
  const file = newFile()
  const journal = await Journal.open(file, 'this')
  for (const entry of ['first', 'sécond', 'third']) await journal.append(entry)
  const whole = await readFile(file)
  const ends = [...whole.keys()].filter(i => whole[i] === 10).map(i => i + 1)
  for (let length = whole.length - 1; length >= 0; length--) {
    await writeFile(file, whole)
    await truncate(file, length)
    const cut = await Journal.open<string>(file, 'this')
    const expected = Math.max(0, ends.filter(end => end <= length).length - 1)
    t.is(cut.length, expected, `cut to ${length} bytes`)
    await cut.append('new')
    t.deepEqual(await entriesOf(await Journal.open(file, 'this')), [
      ...['first', 'sécond', 'third'].slice(0, expected),
      'new',
    ])
  }
})

test('one of something else is refused', async t => {
  const file = newFile()
  await Journal.open(file, 'this')
  await t.throwsAsync(Journal.open(file, 'that'), { instanceOf: RunError, message: /begun with another/ })
})

test('damage in its midst is named', async t => {
  const file = newFile()
  const journal = await Journal.open(file, 'this')
  await appendFile(file, '{"broken"\n')
  await journal.append('after')
  await t.throwsAsync(entriesOf(await Journal.open(file, 'this')), { message: /:2: the journal is damaged/ })
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
