import { access, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import test from 'ava'
import { loadInstaller } from '../../lib/cli/doctor/installer.js'
import { packageRoot } from '../../lib/packageRoot.js'

const installer = await loadInstaller()
const versions = JSON.parse(await readFile(path.join(packageRoot(), 'cmake/versions.json'), 'utf8'))
const packages: {
  name: string
  version: string
  wheels: Record<string, { file: string; sha256: string }>
}[] = Object.values(versions.groups).flat() as never

test('each pinned wheel is named as its package and version, for its machine, with a whole hash', t => {
  const machines: Record<string, RegExp> = {
    'linux-x64': /manylinux[\w.]*x86_64\.whl$/,
    'linux-arm64': /manylinux[\w.]*aarch64\.whl$/,
    'darwin-arm64': /macosx_\w+_arm64\.whl$/,
  }
  for (const { name, version, wheels } of packages) {
    for (const [machine, { file, sha256 }] of Object.entries(wheels)) {
      t.true(file.startsWith(`${name.replaceAll('-', '_')}-${version}-`), file)
      t.regex(file, machines[machine]!)
      t.regex(sha256, /^[0-9a-f]{64}$/, file)
    }
    t.true('linux-x64' in wheels && 'linux-arm64' in wheels, `${name} serves both Linux machines`)
  }
})

test('no two wheels share a hash, which would be a slip in copying', t => {
  const hashes = packages.flatMap(({ wheels }) => Object.values(wheels).map(wheel => wheel.sha256))
  t.is(new Set(hashes).size, hashes.length)
})

test('the pinned LibTorch is a supported one', t => {
  t.true(installer.isSupported(versions.libtorch.version))
  t.is(packages.find(({ name }) => name === 'torch')?.version, versions.libtorch.version)
})

test('a version outside the supported range is told from one inside', t => {
  for (const version of ['2.11.0', '2.12.1+cu130', '2.15.3']) t.true(installer.isSupported(version), version)
  for (const version of ['2.10.9', '2.16.0', '3.0.0', 'nonsense'])
    t.false(installer.isSupported(version), version)
})

test('a machine without a pinned wheel has none', t => {
  t.is(installer.pinnedWheels(['libtorch'], 'linux-riscv64'), undefined)
  t.is(installer.pinnedWheels(['libtorch'], 'linux-x64')?.length, 3)
})

test("the pinned CUDA wheels are those that torch's own metadata asks for", async t => {
  const { found } = await installer.findLibTorch({ env: { ...process.env, LIBTORCH: undefined, PATH: '' } })
  if (!found) {
    t.pass('this machine builds with a LibTorch of its own: there is no metadata to compare with')
    return
  }
  const site = path.dirname(found.folder)
  const information = (await readdir(site)).find(name => name.startsWith('torch-'))!
  const metadata = await readFile(path.join(site, information, 'METADATA'), 'utf8')
  for (const [, name, version] of metadata.matchAll(/^Requires-Dist: (nvidia-[\w-]+)==([\d.]+)/gm)) {
    t.is(packages.find(entry => entry.name === name)?.version, version, name)
  }
})

test('the lock file names no host, so that any registry serves it', async t => {
  const lock = JSON.parse(await readFile(path.join(packageRoot(), 'package-lock.json'), 'utf8'))
  const named = Object.entries<{ resolved?: string }>(lock.packages).filter(([, entry]) => entry.resolved)
  t.deepEqual(named, [])
})

test('every file that package.json publishes or runs is there', async t => {
  const { bin, files } = JSON.parse(await readFile(path.join(packageRoot(), 'package.json'), 'utf8'))
  for (const file of [...Object.values<string>(bin), ...files]) {
    await t.notThrowsAsync(access(path.join(packageRoot(), file)), file)
  }
})
