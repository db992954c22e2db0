import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type InstallError, loadInstaller, type Wheel } from '../../lib/cli/doctor/installer.js'
import { makeFolder, pythonExecutable } from './machine.js'

const installer = await loadInstaller()
const silent = () => {}

/** Writes a small wheel that pip accepts, and returns its pin. */
async function makeWheel(folder: string, pin: Wheel, members: Record<string, string>): Promise<Wheel> {
  const information = `${pin.name.replaceAll('-', '_')}-${pin.version}.dist-info`
  const all = {
    ...members,
    [`${information}/METADATA`]: `Metadata-Version: 2.1\nName: ${pin.name}\nVersion: ${pin.version}\n`,
    [`${information}/WHEEL`]: `Wheel-Version: 1.0\nTag: ${pin.file.slice(0, -4).split('-').slice(2).join('-')}\n`,
  }
  const script = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    for name, text in json.loads(sys.argv[2]).items():
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o755 if "/bin/" in name else 0o644) << 16
        archive.writestr(info, text)
`
  const file = path.join(folder, pin.file)
  execFileSync(pythonExecutable(), ['-c', script, file, JSON.stringify(all)])
  return {
    ...pin,
    sha256: createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
  }
}

/** A machine whose pip sees only the wheels in one folder, as behind a mirror; no test here uses the network. */
async function makeMirror(t: ExecutionContext) {
  const mirror = await makeFolder(t)
  const cache = await makeFolder(t)
  const pins = installer.pinnedWheels(['libtorch'])!
  const torch = await makeWheel(mirror, pins.find(pin => pin.name === 'torch')!, {
    'torch/include/ATen/ATen.h': '// header',
    'torch/include/torch/headeronly/version.h':
      '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 15\n#define TORCH_VERSION_PATCH 0\n',
    'torch/lib/libtorch_cpu.so': 'library',
    'torch/lib/libc10.so': 'library',
    'torch/lib/libtorch_python.so': 'for Python alone',
    'torch/nn/modules.py': 'for Python alone',
  })
  const runtimePin = pins.find(pin => pin.name === 'nvidia-cuda-runtime') ?? pins[0]!
  const runtime = await makeWheel(mirror, runtimePin, { 'nvidia/cu13/bin/tool': '#!/bin/sh\n' })
  const env = {
    ...process.env,
    PIP_NO_INDEX: '1',
    PIP_FIND_LINKS: mirror,
    RLT_CACHE: cache,
    LIBTORCH: undefined,
  }
  return { mirror, cache, env, wheels: [torch, runtime] }
}

test('the pinned wheels are fetched, checked, unpacked and then found', async t => {
  const { cache, env, wheels } = await makeMirror(t)
  const folder = await installer.fetchLibTorch({ env, wheels, log: silent })
  t.is(folder, installer.pinnedFolder({ env }))
  t.is(
    (await installer.findLibTorch({ env: { ...env, PATH: '' } })).found?.folder,
    path.join(folder, 'torch'),
  )
  t.deepEqual(await readdir(path.join(cache, 'downloads')), [], 'the packed wheels are not kept')
  await t.throwsAsync(
    access(path.join(folder, 'torch/lib/libtorch_python.so')),
    undefined,
    "Python's half is left out",
  )
  await t.throwsAsync(access(path.join(folder, 'torch/nn')))
  const { mode } = await stat(path.join(folder, 'nvidia/cu13/bin/tool'))
  t.is(mode & 0o111, 0o111, 'programs stay executable')
})

test('a wheel with another hash is removed and nothing is unpacked', async t => {
  const { cache, env, wheels } = await makeMirror(t)
  const pinned = wheels.map(wheel => ({ ...wheel, sha256: '0'.repeat(64) }))
  const error = await t.throwsAsync<InstallError>(
    installer.fetchLibTorch({ env, wheels: pinned, log: silent }),
  )
  t.is(error.code, 'BAD_HASH')
  t.true(error.message.includes(wheels[0]!.sha256) && error.message.includes('0'.repeat(64)))
  t.deepEqual(await readdir(path.join(cache, 'downloads')), [])
  await t.throwsAsync(access(path.join(cache, 'libtorch')))
})

test('an interrupted fetch goes on: what arrived is kept, what is damaged is fetched again', async t => {
  const { mirror, cache, env, wheels } = await makeMirror(t)
  const [torch, runtime] = wheels as [Wheel, Wheel]
  const missing = { ...runtime, version: '99.0', file: runtime.file.replace(runtime.version, '99.0') }
  await t.throwsAsync(installer.fetchLibTorch({ env, wheels: [torch, missing], log: silent }))
  t.deepEqual(await readdir(path.join(cache, 'downloads')), [torch.file])

  // The mirror's copy is gone, so the second run passes only if it uses the first one's.
  await writeFile(path.join(mirror, torch.file), 'no longer served')
  await writeFile(path.join(cache, 'downloads', runtime.file), 'half a fi')
  const lines: string[] = []
  await installer.fetchLibTorch({ env, wheels, log: line => lines.push(line) })
  t.regex(lines.join('\n'), /is damaged; fetching it again/)
  t.is((await installer.findLibTorch({ env: { ...env, PATH: '' } })).found?.origin, 'cache')
})

test('what a killed run left unpacked is cleared away', async t => {
  const { env, wheels } = await makeMirror(t)
  // No process has this number: Linux gives none above 4194304.
  const abandoned = `${installer.pinnedFolder({ env })}.partial-99999999`
  await mkdir(abandoned, { recursive: true })
  await installer.fetchLibTorch({ env, wheels, log: silent })
  await t.throwsAsync(access(abandoned))
})

test('without a network the message says what to run later', async t => {
  const { env, wheels } = await makeMirror(t)
  const offline = { ...env, PIP_FIND_LINKS: await makeFolder(t) }
  const error = await t.throwsAsync<InstallError>(
    installer.fetchLibTorch({ env: offline, wheels, log: silent }),
  )
  t.is(error.code, 'FETCH_FAILED')
  t.regex(
    error.describe(),
    /could not download torch 2\.15\.0[\s\S]*npm run build:native[\s\S]*npx rlt-install/,
  )
})

test('a full disk is noticed before the download', async t => {
  const folder = await makeFolder(t)
  const error = await t.throwsAsync<InstallError>(installer.requireDiskSpace(folder, 1.8e9, 'LibTorch', 4e8))
  t.is(error.code, 'NO_DISK_SPACE')
  t.regex(error.describe(), /needs 1\.8 GB in .*, but only 0\.4 GB are free[\s\S]*RLT_CACHE=/)
  await t.notThrowsAsync(installer.requireDiskSpace(folder, 1, 'LibTorch'))
})
