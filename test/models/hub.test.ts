import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, readlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { AbortedError, ModelError } from '../../lib/errors.js'
import { resolveModel } from '../../lib/models/index.js'
import { setEnvironment, temporaryFolder } from './files.js'
import { commit, type HubFile, type HubServer, startHub } from './hub-server.js'

const weights = Buffer.alloc(3_000_000, 'weights ')
const complete = (): Record<string, HubFile> => ({
  'config.json': { content: Buffer.from('{"a": 1}') },
  'tokenizer.json': { content: Buffer.from('{}') },
  'model.safetensors': { content: weights, large: true },
  'pytorch_model.bin': { content: Buffer.from('pickle') },
  'README.md': { content: Buffer.from('# Tiny') },
})

interface Setting {
  hub: HubServer
  cache: string
  repository: string
}

/** One test at a time: the address of the hub is in the environment. */
const hubTest = (
  title: string,
  body: (t: ExecutionContext, setting: Setting) => Promise<void>,
  files = complete(),
) =>
  test.serial(title, async t => {
    const hub = await startHub(t, files)
    const cache = await temporaryFolder(t)
    setEnvironment(t, {
      HF_ENDPOINT: hub.url,
      HF_TOKEN_PATH: join(cache, 'no-token'),
      HF_TOKEN: undefined,
      HF_HUB_OFFLINE: undefined,
    })
    await body(t, { hub, cache, repository: join(cache, 'models--org--tiny') })
  })

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  )
const incomplete = async (repository: string) =>
  (await readdir(join(repository, 'blobs'))).filter(name => name.includes('incomplete'))

hubTest(
  'a model is fetched into the layout that all Hugging Face libraries share',
  async (t, { cache, repository }) => {
    const files = await resolveModel('org/tiny', { cacheFolder: cache })
    const folder = join(repository, 'snapshots', commit)
    t.deepEqual(files, { kind: 'folder', folder, revision: commit })
    t.deepEqual(await readFile(join(folder, 'model.safetensors')), weights)
    t.regex(await readlink(join(folder, 'model.safetensors')), /^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/)
    t.regex(await readlink(join(folder, 'config.json')), /^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/)
    t.is(await readFile(join(repository, 'refs', 'main'), 'utf8'), commit)
    t.deepEqual((await readdir(folder)).toSorted(), ['config.json', 'model.safetensors', 'tokenizer.json'])
  },
)

hubTest('what is cached is not fetched again', async (t, { hub, cache }) => {
  await resolveModel('org/tiny', { cacheFolder: cache })
  hub.requests.length = 0
  await resolveModel('org/tiny', { cacheFolder: cache })
  t.false(hub.requests.some(request => request.includes('/resolve/')))
})

hubTest('a commit can be named', async (t, { cache, repository }) => {
  await resolveModel(`org/tiny@${commit}`, { cacheFolder: cache })
  t.false(await exists(join(repository, 'refs')))
})

hubTest(
  'offline, and when the hub is gone, a complete model is taken from the cache',
  async (t, { hub, cache }) => {
    const offline = { cacheFolder: cache, offline: true }
    await t.throwsAsync(resolveModel('org/tiny', offline), {
      instanceOf: ModelError,
      message: /org\/tiny is not complete in .*offline/,
    })
    const files = await resolveModel('org/tiny', { cacheFolder: cache })
    t.deepEqual(await resolveModel('org/tiny', offline), files)
    await hub.close()
    t.deepEqual(await resolveModel('org/tiny', { cacheFolder: cache }), files)
    t.deepEqual(await resolveModel(`org/tiny@${commit}`, { cacheFolder: cache }), files)
    await t.throwsAsync(resolveModel('org/other', { cacheFolder: cache }), {
      instanceOf: ModelError,
      message: /org\/other: the hub cannot be reached \(.*ECONNREFUSED/,
    })
  },
)

hubTest('progress tells the file and its bytes', async (t, { cache }) => {
  const seen = new Map<string, number[]>()
  await resolveModel('org/tiny', {
    cacheFolder: cache,
    onProgress: ({ file, bytes, totalBytes }) => {
      seen.set(file, [...(seen.get(file) ?? []), bytes])
      if (file === 'model.safetensors') t.is(totalBytes, weights.length)
    },
  })
  t.is(seen.get('model.safetensors')!.at(-1), weights.length)
  t.true(seen.get('model.safetensors')!.length > 2)
})

hubTest(
  'damaged content is refused, leaves nothing, and can be fetched again',
  async (t, { hub, cache, repository }) => {
    const file = hub.files.get('model.safetensors')!
    file.sent = Buffer.from(weights)
    file.sent[1000] = 0
    await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: cache }), {
      instanceOf: ModelError,
      message:
        /model\.safetensors arrived damaged \(hash [0-9a-f]{64} in place of [0-9a-f]{64}\)\. Try again/,
    })
    t.false(await exists(join(repository, 'snapshots', commit, 'model.safetensors')))
    t.deepEqual(await incomplete(repository), [])
    delete file.sent
    await t.notThrowsAsync(resolveModel('org/tiny', { cacheFolder: cache }))
  },
)

hubTest('a small file is checked by git’s hash', async (t, { hub, cache }) => {
  hub.files.get('config.json')!.sent = Buffer.from('{"a": 2}')
  await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: cache }), {
    message: /config\.json arrived damaged \(hash [0-9a-f]{40} in place of/,
  })
})

hubTest(
  'a download that breaks off is gone on with where it broke off',
  async (t, { hub, cache, repository }) => {
    const file = hub.files.get('model.safetensors')!
    file.breakAfter = 1_000_000
    await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: cache }), {
      instanceOf: ModelError,
      message: /org\/tiny: cannot be fetched/,
    })
    t.is((await incomplete(repository)).length, 1)
    delete file.breakAfter
    hub.requests.length = 0
    await resolveModel('org/tiny', { cacheFolder: cache })
    t.true(hub.requests.some(request => /model\.safetensors bytes=[1-9]\d*-2999999$/.test(request)))
    t.deepEqual(await readFile(join(repository, 'snapshots', commit, 'model.safetensors')), weights)
    t.deepEqual(await incomplete(repository), [])
  },
)

hubTest('an aborted download says so, and is gone on with the next time', async (t, { hub, cache }) => {
  const controller = new AbortController()
  const file = hub.files.get('model.safetensors')!
  file.onHalf = () => controller.abort()
  await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: cache, signal: controller.signal }), {
    instanceOf: AbortedError,
  })
  delete file.onHalf
  await t.notThrowsAsync(resolveModel('org/tiny', { cacheFolder: cache }))
  await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: cache, signal: AbortSignal.abort() }), {
    instanceOf: AbortedError,
  })
})

hubTest('several processes may fetch the same model at once', async (t, { cache, repository }) => {
  await Promise.all(Array.from({ length: 4 }, () => resolveModel('org/tiny', { cacheFolder: cache })))
  t.deepEqual(await readFile(join(repository, 'snapshots', commit, 'model.safetensors')), weights)
  t.deepEqual(await incomplete(repository), [])
})

hubTest('a missing repository, a missing revision and a gated one are told apart', async (t, { cache }) => {
  const refuses = (name: string, message: RegExp) =>
    t.throwsAsync(resolveModel(name, { cacheFolder: cache }), { instanceOf: ModelError, message })
  await refuses('org/none', /org\/none: the hub has no such model or revision/)
  await refuses('org/tiny@v9', /org\/tiny@v9: the hub has no such model or revision/)
  await refuses('org/gated', /org\/gated: the hub refuses access.*HF_TOKEN/)
})

hubTest(
  'a repository of pickles is refused',
  async (t, { cache }) => {
    await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: cache }), {
      instanceOf: ModelError,
      message: /org\/tiny has no safetensors: .*found config\.json, pytorch_model\.bin\. A pickle/,
    })
  },
  { 'config.json': complete()['config.json']!, 'pytorch_model.bin': { content: Buffer.from('x') } },
)

hubTest(
  'of a repository of GGUF files one is named and fetched',
  async (t, { cache, repository }) => {
    await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: cache }), {
      instanceOf: ModelError,
      message: /org\/tiny holds GGUF files: name one, e\.g\. org\/tiny\/tiny-Q4_0\.gguf/,
    })
    const files = await resolveModel('org/tiny/tiny-Q8_0.gguf', { cacheFolder: cache })
    t.deepEqual(files, { kind: 'gguf', file: join(repository, 'snapshots', commit, 'tiny-Q8_0.gguf') })
    t.deepEqual(await readdir(join(repository, 'snapshots', commit)), ['tiny-Q8_0.gguf'])
    t.deepEqual(await resolveModel('org/tiny/tiny-Q8_0.gguf', { cacheFolder: cache, offline: true }), files)
    await t.throwsAsync(resolveModel('org/tiny/none.gguf', { cacheFolder: cache }), {
      message: /there is no none\.gguf in the repository; it has tiny/,
    })
  },
  {
    'tiny-Q4_0.gguf': { content: Buffer.from('GGUF4'), large: true },
    'tiny-Q8_0.gguf': { content: Buffer.from('GGUF8'), large: true },
  },
)

hubTest(
  'names and hashes from the hub stay inside the cache',
  async (t, { hub, cache }) => {
    await resolveModel('org/tiny', { cacheFolder: cache })
    t.false(await exists(join(cache, 'model.safetensors')))
    hub.files.get('tokenizer.json')!.hash = '../../../escaped'
    hub.files.set('config.json', { content: Buffer.from('{"a": 3}'), hash: '../x' })
    const fresh = await temporaryFolder(t)
    await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: fresh }), {
      instanceOf: ModelError,
      message: /no usable hash for (config|tokenizer)\.json: "\.\.\//,
    })
    await t.throwsAsync(resolveModel('org/tiny@../../x', { cacheFolder: fresh, offline: true }), {
      message: /outside its folder: refused/,
    })
    await t.throwsAsync(resolveModel('org/tiny/../../x.gguf', { cacheFolder: fresh }), {
      instanceOf: ModelError,
    })
  },
  { ...complete(), '../../../model.safetensors': { content: Buffer.from('evil'), large: true } },
)

hubTest(
  'shards are fetched by what the index names',
  async (t, { hub, cache, repository }) => {
    const { kind } = await resolveModel('org/tiny', { cacheFolder: cache })
    t.is(kind, 'folder')
    const folder = join(repository, 'snapshots', commit)
    t.deepEqual((await readdir(folder)).toSorted(), [
      'additional_chat_templates',
      'config.json',
      'model.safetensors.index.json',
      'part-a.safetensors',
      'part-b.safetensors',
    ])
    t.is(await readFile(join(folder, 'additional_chat_templates', 'rag.jinja'), 'utf8'), 'rag')
    await t.notThrowsAsync(resolveModel('org/tiny', { cacheFolder: cache, offline: true }))

    hub.files.delete('part-b.safetensors')
    const fresh = await temporaryFolder(t)
    await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: fresh }), {
      instanceOf: ModelError,
      message: /there is no part-b\.safetensors in the repository/,
    })
    await t.throwsAsync(resolveModel('org/tiny', { cacheFolder: fresh, offline: true }), {
      message: /is not complete/,
    })
  },
  {
    'config.json': complete()['config.json']!,
    'additional_chat_templates/rag.jinja': { content: Buffer.from('rag') },
    'model.safetensors.index.json': {
      content: Buffer.from('{"weight_map": {"x": "part-a.safetensors", "y": "part-b.safetensors"}}'),
    },
    'part-a.safetensors': { content: Buffer.from('a'), large: true },
    'part-b.safetensors': { content: Buffer.from('b'), large: true },
    'consolidated.safetensors': { content: Buffer.from('the same once more'), large: true },
  },
)

hubTest('what a killed process left is gone on with', async (t, { hub, cache, repository }) => {
  const hash = createHash('sha256').update(weights).digest('hex')
  const blobs = join(repository, 'blobs')
  await mkdir(blobs, { recursive: true })
  const left = join(blobs, `${hash}.0a1b2c3d.rlt-incomplete`)
  const running = join(blobs, `${hash}.ffffffff.rlt-incomplete`)
  await writeFile(left, weights.subarray(0, 2_000_000))
  await writeFile(running, weights.subarray(0, 10))
  const anHourAgo = new Date(Date.now() - 60 * 60 * 1000)
  await utimes(left, anHourAgo, anHourAgo)
  await resolveModel('org/tiny', { cacheFolder: cache })
  t.true(hub.requests.some(request => request.endsWith('model.safetensors bytes=2000000-2999999')))
  t.deepEqual(await incomplete(repository), [`${hash}.ffffffff.rlt-incomplete`])
})
