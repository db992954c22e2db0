import path from 'node:path'
import test from 'ava'
import { type InstallError, loadInstaller } from '../../lib/cli/doctor/installer.js'
import { makeBarePython, makeFolder, makeLibTorch, writeFiles } from './machine.js'

const installer = await loadInstaller()

/** A machine with a Python that has torch of the given version, and a cache that holds the pinned LibTorch. */
async function makeMachine(t: Parameters<typeof makeFolder>[0], pythonTorch?: string) {
  const folder = await makeFolder(t)
  await makeBarePython(path.join(folder, 'bin'))
  const env = {
    PATH: path.join(folder, 'bin'),
    PYTHONPATH: path.join(folder, 'site'),
    RLT_CACHE: path.join(folder, 'cache'),
  }
  if (pythonTorch) {
    await makeLibTorch(path.join(folder, 'site/torch'), pythonTorch)
    await writeFiles(folder, { 'site/torch/__init__.py': 'raise ImportError("this must not be imported")\n' })
  }
  await makeLibTorch(path.join(installer.pinnedFolder({ env }), 'torch'), installer.versions.libtorch.version)
  return { folder, env }
}

test('LIBTORCH comes first, whatever else is installed', async t => {
  const { folder, env } = await makeMachine(t, '2.12.0')
  const named = await makeLibTorch(path.join(folder, 'mine'), '2.11.1')
  const { found } = await installer.findLibTorch({ env: { ...env, LIBTORCH: named } })
  t.deepEqual(found, { folder: named, version: '2.11.1', origin: 'LIBTORCH', cuda: false })
})

test("Python's torch comes before the cache, and is not imported to be found", async t => {
  const { folder, env } = await makeMachine(t, '2.12.0')
  const { found, notes } = await installer.findLibTorch({ env })
  t.deepEqual(found, {
    folder: path.join(folder, 'site/torch'),
    version: '2.12.0',
    origin: 'python',
    cuda: false,
  })
  t.deepEqual(notes, [])
})

test("Python's torch of an unsupported version is passed over, and the note says why", async t => {
  const { env } = await makeMachine(t, '2.4.1')
  const { found, notes } = await installer.findLibTorch({ env })
  t.is(found?.origin, 'cache')
  t.regex(notes.join(), /passed over: it is version 2\.4\.1 and this release supports 2\.11 to 2\.15/)
})

test("Python's torch without its headers is passed over, and the note says what is missing", async t => {
  const { folder, env } = await makeMachine(t)
  await writeFiles(folder, { 'site/torch/__init__.py': '' })
  const { found, notes } = await installer.findLibTorch({ env })
  t.is(found?.origin, 'cache')
  t.regex(notes.join(), /include\/ATen\/ATen\.h is missing/)
})

test('the cache serves where Python has no torch, and where there is no Python', async t => {
  const { folder, env } = await makeMachine(t)
  t.is((await installer.findLibTorch({ env })).found?.origin, 'cache')
  t.is(
    (await installer.findLibTorch({ env: { ...env, PATH: path.join(folder, 'empty') } })).found?.origin,
    'cache',
  )
})

test('nothing is found on a bare machine, which is no error: it is fetched next', async t => {
  const folder = await makeFolder(t)
  const { found } = await installer.findLibTorch({ env: { PATH: folder, RLT_CACHE: folder } })
  t.is(found, undefined)
})

test('a build with CUDA takes no LibTorch without it', async t => {
  const { folder, env } = await makeMachine(t, '2.12.0')
  t.is((await installer.findLibTorch({ env, cuda: true })).found, undefined)
  await writeFiles(folder, { 'site/torch/lib/libtorch_cuda.so': '' })
  t.is((await installer.findLibTorch({ env, cuda: true })).found?.origin, 'python')
})

for (const [problem, prepare, expected] of [
  ['does not exist', async () => {}, /there is no such folder/],
  [
    'has no libraries',
    (folder: string) => writeFiles(folder, { 'include/ATen/ATen.h': '' }),
    /lib\/libtorch_cpu\.\w+ is missing/,
  ],
  [
    'is too new',
    (folder: string) => makeLibTorch(folder, '3.0.0'),
    /version 3\.0\.0 .* supports 2\.11 to 2\.15/,
  ],
] as [string, (folder: string) => Promise<unknown>, RegExp][]) {
  test(`a LIBTORCH that ${problem} is an error: what the user named is never replaced by something else`, async t => {
    const { folder, env } = await makeMachine(t, '2.12.0')
    const named = path.join(folder, 'mine')
    await prepare(named)
    const error = await t.throwsAsync<InstallError>(
      installer.findLibTorch({ env: { ...env, LIBTORCH: named } }),
    )
    t.is(error.code, 'BAD_LIBTORCH')
    t.regex(error.message, expected)
    t.true(error.message.includes(named))
  })
}

test('the cache lies where the user says, else where their desktop keeps caches', t => {
  t.is(installer.cacheFolder({ RLT_CACHE: '/x/rlt', XDG_CACHE_HOME: '/y', HOME: '/z' }), '/x/rlt')
  t.is(installer.cacheFolder({ XDG_CACHE_HOME: '/y', HOME: '/z' }), '/y/rlt')
  t.is(installer.cacheFolder({ HOME: '/z' }), '/z/.cache/rlt')
})
