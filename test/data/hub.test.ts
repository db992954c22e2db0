/** Data sets of the hub, from a server on this machine that answers as the hub does. */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { trainSchema } from '../../lib/config/index.js'
import { readSource } from '../../lib/data/index.js'
import { AbortedError, DataError } from '../../lib/errors.js'

/** The commit that a branch stands for: on this hub, the hash of its name. */
const commitOf = (branch: string) => createHash('sha1').update(branch).digest('hex')
const rows = (...names: string[]) =>
  names.map(name => `${JSON.stringify({ question: `q-${name}`, solution: `s-${name}` })}\n`).join('')

/** Of each branch the files with their contents. */
type Repository = Record<string, Record<string, string>>

interface Hub {
  url: string
  /** Paths of the files whose content was asked for. */
  sent: string[]
}

async function startHub(t: ExecutionContext, repository: Repository): Promise<Hub> {
  const hub: Hub = { url: '', sent: [] }
  const server = createServer((request, response) => answer(hub, repository, request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return hub
}

function answer(hub: Hub, repository: Repository, request: IncomingMessage, response: ServerResponse): void {
  const json = (value: unknown, status = 200) => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
  }
  const { pathname } = new URL(request.url!, hub.url)
  // A slash in the name of a branch is encoded; one that is not ends it.
  const [, name, action, at = '', path = ''] =
    /^(?:\/api)?\/datasets\/(org\/[\w-]+)\/(tree|resolve|revision)\/([^/]+)\/?(.*)$/.exec(pathname) ?? []
  if (name === 'org/gated') return void json({ error: 'Access to dataset org/gated is restricted' }, 401)
  const branches = name === 'org/rows' ? Object.keys(repository) : []
  const branch = branches.find(branch => [branch, commitOf(branch)].includes(decodeURIComponent(at)))
  if (branch === undefined) return void json({ error: 'Repository not found' }, 404)
  const files = repository[branch]!
  if (action === 'revision') return void json({ ...information, sha: commitOf(branch) })
  if (action === 'tree')
    return void json(Object.entries(files).map(([path, content]) => entry(path, content)))
  const content = Buffer.from(files[decodeURIComponent(path)]!)
  const [, first = '0', last = ''] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? []
  const body = content.subarray(Number(first), last === '' ? undefined : Number(last) + 1)
  if (last !== '0') hub.sent.push(path)
  response.writeHead(206, {
    ETag: '"x"',
    'Content-Length': body.length,
    'Content-Range': `bytes ${first}-${Number(first) + body.length - 1}/${content.length}`,
  })
  response.end(body)
}

const information = {
  _id: '1',
  id: 'org/rows',
  private: false,
  downloads: 0,
  likes: 0,
  lastModified: '2026-01-01',
}

function entry(path: string, content: string) {
  const size = Buffer.byteLength(content)
  const oid = createHash('sha1').update(`blob ${size}\0${content}`).digest('hex')
  return { type: 'file', path, size, oid }
}

/** The addresses of hub and cache are in the environment, so one test at a time. */
async function withHub(t: ExecutionContext, repository: Repository): Promise<Hub & { cache: string }> {
  const hub = await startHub(t, repository)
  const cache = await mkdtemp(join(tmpdir(), 'rlt-hub-'))
  const before = { ...process.env }
  Object.assign(process.env, {
    HF_ENDPOINT: hub.url,
    HF_HUB_CACHE: cache,
    HF_TOKEN_PATH: join(cache, 'no-token'),
  })
  delete process.env.HF_TOKEN
  delete process.env.HF_HUB_OFFLINE
  t.teardown(() => {
    process.env = before
  })
  return { ...hub, cache, sent: hub.sent }
}

const read = async (options: Record<string, unknown> = {}, signal?: AbortSignal) => {
  const data = { train: { hub: 'org/rows', ...options } }
  const config = trainSchema.parse({ teacher: { model: 'm' }, students: [{ model: 'm' }], data })
  return readSource(config.data.train, 'data.train', signal ? { signal } : {})
}
const questions = async (options: Record<string, unknown> = {}) =>
  (await read(options)).map(row => row.question)

test.serial('the files of a split, in the order of their names', async t => {
  await withHub(t, {
    main: {
      'README.md': '# Rows',
      'data/train-00001-of-00002.jsonl': rows('c'),
      'data/train-00000-of-00002.jsonl': rows('a', 'b'),
      'data/test-00000-of-00001.jsonl': rows('t'),
    },
  })
  t.deepEqual(await questions(), ['q-a', 'q-b', 'q-c'])
  t.deepEqual(await questions({ split: 'test' }), ['q-t'])
  t.deepEqual(await questions({ skip: 1, limit: 1 }), ['q-b'])
})

test.serial('what is in the cache is not fetched again', async t => {
  const { sent, cache } = await withHub(t, { main: { 'train.jsonl': rows('a') } })
  const [first] = await read()
  t.true(first!.origin.startsWith(join(cache, 'datasets--org--rows', 'snapshots')))
  t.true((await readFile(first!.origin.replace(/:1$/, ''), 'utf8')).includes('q-a'))
  const { length } = sent
  t.deepEqual(await questions(), ['q-a'])
  t.is(sent.length, length)
})

test.serial('a configuration is a folder', async t => {
  await withHub(t, {
    main: { 'main/train.jsonl': rows('m'), 'socratic/train.jsonl': rows('s') },
  })
  t.deepEqual(await questions({ config: 'socratic' }), ['q-s'])
})

test.serial('of the same rows in several formats one is taken', async t => {
  await withHub(t, { main: { 'train.csv': 'question,solution\nq,s\n', 'train.jsonl': rows('a') } })
  t.deepEqual(await questions(), ['q-a'])
})

test.serial('a commit can be named', async t => {
  await withHub(t, { main: { 'train.jsonl': rows('a') } })
  t.deepEqual(await questions({ hub: `org/rows@${commitOf('main')}` }), ['q-a'])
})

test.serial("without files that name the split, the hub's own conversion is read", async t => {
  await withHub(t, {
    main: { 'all-of-it.txt': 'rows' },
    'refs/convert/parquet': { 'default/train/0000.jsonl': rows('converted') },
  })
  t.deepEqual(await questions(), ['q-converted'])
})

test.serial('a broken line is named with the file in the cache', async t => {
  await withHub(t, { main: { 'train.jsonl': `${rows('a')}{\n` } })
  const error = await t.throwsAsync(read(), { instanceOf: DataError })
  t.regex(error.message, /train\.jsonl:2: /)
})

test.serial('a split that is not there: the files that are, and the one probably meant', async t => {
  await withHub(t, { main: { 'train.jsonl': rows('a'), 'validation.jsonl': rows('v') } })
  const error = await t.throwsAsync(read({ split: 'validations' }), { instanceOf: DataError })
  t.regex(error.message, /data\.train: .*org\/rows .*validations/)
  t.regex(error.message, /train\.jsonl, validation\.jsonl/)
  t.regex(error.message, /Did you mean data\.train\.split: validation\?/)
})

test.serial('a data set that is not there, or not for everybody', async t => {
  await withHub(t, { main: {} })
  const absent = await t.throwsAsync(read({ hub: 'org/absent' }), { instanceOf: DataError })
  t.regex(absent.message, /data\.train: .*org\/absent/)
  const gated = await t.throwsAsync(read({ hub: 'org/gated' }), { instanceOf: DataError })
  t.regex(gated.message, /org\/gated/)
  t.regex(gated.message, /HF_TOKEN/)
})

/** Where nobody listens: the port of a server that is closed again. */
async function leaveTheNetwork() {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  process.env.HF_ENDPOINT = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await new Promise(resolve => server.close(resolve))
}

test.serial('a hub that cannot be reached', async t => {
  await withHub(t, { main: {} })
  await leaveTheNetwork()
  const error = await t.throwsAsync(read(), { instanceOf: DataError })
  t.regex(error.message, /data\.train: .*org\/rows.* cannot be reached/)
})

test.serial('without a network, what was fetched earlier is read', async t => {
  await withHub(t, { main: { 'train.jsonl': rows('a'), 'test.jsonl': rows('t') } })
  await read()
  await leaveTheNetwork()
  t.deepEqual(await questions(), ['q-a'])
  await t.throwsAsync(read({ split: 'test' }), { instanceOf: DataError })
})

test.serial('the hub is not asked where it may not be', async t => {
  const { sent } = await withHub(t, { main: { 'train.jsonl': rows('a') } })
  process.env.HF_HUB_OFFLINE = '1'
  const error = await t.throwsAsync(read(), { instanceOf: DataError })
  t.regex(error.message, /offline/)
  t.deepEqual(sent, [])
})

test.serial('of several configurations one has to be named', async t => {
  await withHub(t, { main: { 'easy/train.jsonl': rows('e'), 'hard/train.jsonl': rows('h') } })
  const error = await t.throwsAsync(read(), { instanceOf: DataError })
  t.regex(error.message, /easy, hard.*data\.train\.config/)
  t.deepEqual(await questions({ config: 'hard' }), ['q-h'])
})

test.serial('an abort is heard', async t => {
  await withHub(t, { main: { 'train.jsonl': rows('a') } })
  await t.throwsAsync(read({}, AbortSignal.abort()), { instanceOf: AbortedError })
})

test.serial('nothing is written to the standard output, which is for machines', async t => {
  await withHub(t, { main: { 'train.jsonl': rows('a') } })
  const written: unknown[] = []
  const write = process.stdout.write
  process.stdout.write = ((chunk: unknown) => written.push(chunk) > 0) as typeof process.stdout.write
  try {
    await read()
  } finally {
    process.stdout.write = write
  }
  t.deepEqual(written, [])
})
