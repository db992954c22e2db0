import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { lockFolder } from '../../lib/runs/lock.js'

const newFolder = () => mkdtemp(join(tmpdir(), 'rlt-lock-'))
const owner = (changes: object) =>
  JSON.stringify({ pid: process.pid, host: hostname(), processStart: null, since: 'then', ...changes })

test('a lock is held until it is released', async t => {
  const folder = await newFolder()
  const release = await lockFolder(folder)
  await t.throwsAsync(lockFolder(folder), { message: new RegExp(`in use by process ${process.pid} `) })
  await release()
  await (await lockFolder(folder))()
  t.deepEqual(await readdir(folder), [])
})

test('of many at once exactly one gets the lock', async t => {
  const folder = await newFolder()
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)))
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('a stale lock is taken over by exactly one', async t => {
  const folder = await newFolder()
  await writeFile(join(folder, 'run.lock'), owner({ pid: 2 ** 22 + 1 })) // above the largest process id of Linux
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)))
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('a process with the same id that started at another time is another process', async t => {
  const folder = await newFolder()
  await writeFile(join(folder, 'run.lock'), owner({ processStart: '1' }))
  await t.notThrowsAsync(lockFolder(folder))
})

test('a lock of another host is not taken over: nobody here can know', async t => {
  const folder = await newFolder()
  await writeFile(join(folder, 'run.lock'), owner({ host: 'elsewhere', pid: 2 ** 22 + 1 }))
  await t.throwsAsync(lockFolder(folder), { message: /on elsewhere since then\. .*remove .*run\.lock/ })
})

test('a lock that is not readable is taken over', async t => {
  const folder = await newFolder()
  await writeFile(join(folder, 'run.lock'), 'not json')
  await t.notThrowsAsync(lockFolder(folder))
})

test('releasing leaves a lock that is no longer one’s own', async t => {
  const folder = await newFolder()
  const release = await lockFolder(folder)
  await writeFile(join(folder, 'run.lock'), owner({ pid: 1 }))
  await release()
  t.is(JSON.parse(await readFile(join(folder, 'run.lock'), 'utf8')).pid, 1)
})
