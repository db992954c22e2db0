import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { type InstallError, loadInstaller } from '../../lib/cli/doctor/installer.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { linkPrograms, makeBarePython, makeFolder, makeLibTorch, makeProgram } from './machine.js'

const run = promisify(execFile)
const installer = await loadInstaller()

test('a machine without a compiler is told which package brings one', async t => {
  const env = { PATH: await makeFolder(t) }
  const error = t.throws<InstallError>(() => installer.findCompiler(env))
  t.is(error.code, 'NO_COMPILER')
  t.regex(error.describe(), /No C\+\+ compiler found[\s\S]*What to do:\n {4}\S.* install \S|add g\+\+|-S gcc/)
})

test('a CXX that is not there is named', async t => {
  const env = { PATH: await makeFolder(t), CXX: 'g++-99 -v' }
  t.regex(t.throws(() => installer.findCompiler(env)).message, /CXX names 'g\+\+-99 -v'/)
})

test('the first compiler on the PATH is taken', async t => {
  const folder = await makeFolder(t)
  await makeProgram(folder, 'clang++', 'exit 0')
  t.is(installer.findCompiler({ PATH: `${folder}:/nowhere` }), path.join(folder, 'clang++'))
})

test('a missing CMake names the version needed and how to get it without root', async t => {
  const error = await t.throwsAsync<InstallError>(installer.findCMake({ PATH: await makeFolder(t) }))
  t.is(error.code, 'NO_CMAKE')
  t.regex(error.describe(), /CMake 3\.20 or newer[\s\S]*pip install --user cmake/)
})

test('a CMake that is too old is named with its version and place', async t => {
  const folder = await makeFolder(t)
  await makeProgram(folder, 'cmake', 'echo "cmake version 3.10.2"')
  const error = await t.throwsAsync<InstallError>(installer.findCMake({ PATH: folder }))
  t.is(error.code, 'OLD_CMAKE')
  t.true(error.message.includes(`${folder}/cmake is version 3.10.2`))
})

test("CMake's version is compared as numbers", async t => {
  const folder = await makeFolder(t)
  await makeProgram(folder, 'cmake', 'echo "cmake version 4.1.0-rc2"')
  t.is((await installer.findCMake({ PATH: folder })).version, '4.1.0')
  t.true(installer.compareVersions('3.9', '3.20') < 0)
  t.is(installer.compareVersions('3.20.0', '3.20'), 0)
})

test('a machine without make and ninja is told so', async t => {
  const env = { PATH: await makeFolder(t) }
  t.is(t.throws<InstallError>(() => installer.findBuildTool(env)).code, 'NO_BUILD_TOOL')
})

test('a machine without Python is told what to install, and that LIBTORCH does without', async t => {
  const error = await t.throwsAsync<InstallError>(installer.findPip({ PATH: await makeFolder(t) }))
  t.is(error.code, 'NO_PYTHON')
  t.regex(error.describe(), /LIBTORCH=/)
})

test('a Python without pip is told apart from no Python', async t => {
  const folder = await makeFolder(t)
  await makeBarePython(folder)
  const error = await t.throwsAsync<InstallError>(installer.findPip({ PATH: folder }))
  t.is(error.code, 'NO_PIP')
  t.true(error.message.includes(`${folder}/python3`))
  t.regex(error.describe(), /ensurepip/)
})

test('hints use the package manager of the machine', t => {
  const packages = { apt: 'g++', dnf: 'gcc-c++' }
  t.deepEqual(installer.installHints(packages, 'dnf'), ['sudo dnf install gcc-c++'])
  t.regex(installer.installHints(packages, 'unknown')[0]!, /^sudo apt install g\+\+ .*equivalent/)
})

test('no more jobs run than memory allows', t => {
  t.is(installer.buildJobs({ cores: 64, memory: 8e9 }), 4)
  t.is(installer.buildJobs({ cores: 2, memory: 64e9 }), 2)
  t.is(installer.buildJobs({ cores: 4, memory: 1e9 }), 1)
})

test('CUDA is built where a driver is loaded, unless RLT_CUDA says otherwise', t => {
  t.is(installer.wantsCuda({}, true), 'ON')
  t.is(installer.wantsCuda({}, false), 'OFF')
  t.is(installer.wantsCuda({ RLT_CUDA: 'off' }, true), 'OFF')
  t.is(installer.wantsCuda({ RLT_CUDA: 'ON' }, false), 'ON')
  t.is(t.throws<InstallError>(() => installer.wantsCuda({ RLT_CUDA: 'yes' })).code, 'BAD_RLT_CUDA')
})

test('the install command stops before any work and says what to type', async t => {
  const folder = await makeFolder(t)
  const LIBTORCH = await makeLibTorch(path.join(folder, 'libtorch'), '2.15.0')
  await linkPrograms(path.join(folder, 'bin'), 'make')
  const script = path.join(packageRoot(), 'scripts/install/main.mjs')
  const failure = await t.throwsAsync<Error & { code: number; stderr: string }>(
    run(process.execPath, [script], { env: { PATH: path.join(folder, 'bin'), LIBTORCH, RLT_CUDA: 'OFF' } }),
  )
  t.is(failure.code, 1)
  t.regex(failure.stderr, /rlt: No C\+\+ compiler found[\s\S]*What to do:/)
  t.notRegex(failure.stderr, /at .*\.mjs:\d+/, 'a missing tool is no stack trace')
})

test('the install command names an argument that it does not know', async t => {
  const script = path.join(packageRoot(), 'scripts/install/main.mjs')
  const failure = await t.throwsAsync<Error & { code: number; stderr: string }>(
    run(process.execPath, [script, '--fnid']),
  )
  t.is(failure.code, 1)
  t.regex(failure.stderr, /Unknown argument '--fnid'[\s\S]*--find/)
})
