import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { readConfiguration, readWeightTable } from '../../lib/models/index.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { fixture, temporaryFolder } from './files.js'
import { commit, startHub } from './hub-server.js'

interface Outcome {
  code: number
  stdout: string
  stderr: string
}

async function rlt(args: string[], environment: Record<string, string> = {}): Promise<Outcome> {
  const main = join(packageRoot(), 'dist', 'lib', 'cli', 'main.js')
  const env = { ...process.env, ...environment }
  return promisify(execFile)(process.execPath, [main, ...args], { env }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  )
}

test('models pull fetches, path and list find what was fetched, and standard output is for results', async t => {
  const hub = await startHub(t, {
    'config.json': { content: Buffer.from('{}') },
    'model.safetensors': { content: Buffer.alloc(2_000_000), large: true },
  })
  const cache = await temporaryFolder(t)
  const environment = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, RLT_CACHE: cache, HF_TOKEN: 'hf_secret' }
  const folder = join(cache, 'models--org--tiny', 'snapshots', commit)
  const found = { name: 'org/tiny', kind: 'folder', path: folder, revision: commit }

  const pull = await rlt(['models', 'pull', 'org/tiny', '--json'], environment)
  t.is(pull.code, 0, pull.stderr)
  t.deepEqual(JSON.parse(pull.stdout), found)
  t.deepEqual([...new Set(hub.authorizations)], ['Bearer hf_secret'])
  t.regex(pull.stderr, /model\.safetensors {2}2 MB/)

  const path = await rlt(['models', 'path', 'org/tiny'], environment)
  t.is(path.stdout, `${folder}\n`)
  const { stdout } = await rlt(['models', 'list', '--json'], environment)
  t.deepEqual(JSON.parse(stdout), { name: 'org/tiny', revision: commit, path: folder, bytes: 2_000_002 })
})

test('models list is empty where nothing is cached, and names packages', async t => {
  const cache = await temporaryFolder(t)
  const environment = { HF_HUB_CACHE: join(cache, 'hub'), RLT_CACHE: cache }
  const empty = await rlt(['models', 'list'], environment)
  t.is(empty.code, 0)
  t.is(empty.stdout, '')
  t.regex(empty.stderr, /No models are cached/)
  const folder = join(cache, 'models', 'pypi', 'tiny', 'inner')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'tiny.gguf'), 'GGUF')
  const { stdout } = await rlt(['models', 'list', '--json'], environment)
  t.deepEqual(JSON.parse(stdout), { name: 'pypi:tiny', path: join(folder, 'tiny.gguf'), bytes: 4 })
})

test('wrong use exits with 2, a model that is not there with 1', async t => {
  t.is((await rlt(['models', 'pull'])).code, 2)
  t.is((await rlt(['models', 'list', 'x'])).code, 2)
  t.is((await rlt(['models', 'fetch', 'x'])).code, 2)
  const file = fixture('gguf', 'qwen3.gguf')
  const intoFile = await rlt(['convert', file, file])
  t.is(intoFile.code, 2)
  t.regex(intoFile.stderr, /qwen3\.gguf is a file: expected a folder/)
  const missing = await rlt(['models', 'path', 'pypi:none'], { RLT_CACHE: await temporaryFolder(t) })
  t.is(missing.code, 1)
  t.regex(missing.stderr, /pypi:none is not in .* offline/)
  t.is(missing.stdout, '')
})

test('convert writes a GGUF as a complete folder, in the type that loses nothing', async t => {
  const folder = join(await temporaryFolder(t), 'qwen3')
  const file = fixture('gguf', 'qwen3.gguf')
  const converted = await rlt(['convert', file, folder, '--json'])
  t.is(converted.code, 0, converted.stderr)
  t.deepEqual(JSON.parse(converted.stdout), { folder, dtype: 'float32' })
  const files = { kind: 'folder', folder } as const
  t.deepEqual(await readConfiguration(files), await readConfiguration({ kind: 'gguf', file }))
  t.true((await readWeightTable(files)).every(({ type }) => type === 'F32'))

  const again = await rlt(['convert', file, folder])
  t.is(again.code, 2)
  t.regex(again.stderr, /holds a model already/)

  const half = join(await temporaryFolder(t), 'half')
  t.is((await rlt(['convert', folder, half, '--dtype', 'bfloat16'])).code, 0)
  t.true((await readWeightTable({ kind: 'folder', folder: half })).every(({ type }) => type === 'BF16'))
  t.is(JSON.parse(await readFile(join(half, 'config.json'), 'utf8')).dtype, 'bfloat16')
})
