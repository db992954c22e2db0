import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import type { Findings } from '../../lib/cli/doctor/findings.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { makeFolder } from './machine.js'

const run = promisify(execFile)
const program = 'dist/lib/cli/main.js'

/** Runs `rlt doctor` of the package in `root`. */
async function doctor(root: string, args: string[] = [], env: NodeJS.ProcessEnv = process.env) {
  const options = { env: { ...env, NO_COLOR: '1' }, maxBuffer: 1 << 24 }
  const result = await run(process.execPath, [path.join(root, program), 'doctor', ...args], options).catch(
    failure => failure as { code: number; stdout: string; stderr: string },
  )
  return { exitCode: 'code' in result ? result.code : 0, stdout: result.stdout, stderr: result.stderr }
}

/** This package as it is before the addon is built. */
async function makeUnbuiltPackage(t: ExecutionContext): Promise<string> {
  const folder = await makeFolder(t)
  for (const part of ['dist/lib', 'lib/config', 'scripts/install', 'cmake', 'package.json']) {
    await cp(path.join(packageRoot(), part), path.join(folder, part), { recursive: true })
  }
  await symlink(path.join(packageRoot(), 'node_modules'), path.join(folder, 'node_modules'))
  return folder
}

test('a working installation is reported as one, in one JSON line', async t => {
  const { exitCode, stdout } = await doctor(packageRoot(), ['--json'])
  const findings: Findings = JSON.parse(stdout)
  t.is(stdout.trim().split('\n').length, 1)
  t.deepEqual(
    findings.problems.filter(problem => problem.severity === 'error'),
    [],
  )
  t.is(exitCode, 0)
  t.true(findings.addon.built && findings.addon.loads)
  t.regex(findings.libtorch!.version, /^2\.1[1-5]\./)
  t.true(findings.processor.cores >= 1)
  t.true(findings.memory.availableBytes > 0 && findings.memory.availableBytes <= findings.memory.totalBytes)
  t.true(findings.caches.every(cache => path.isAbsolute(cache.folder) && cache.bytes >= 0))
  t.truthy(findings.engine)
})

test('the processor features are those of this machine', async t => {
  const { stdout } = await doctor(packageRoot(), ['--json'])
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8')
  for (const feature of (JSON.parse(stdout) as Findings).processor.features) {
    t.regex(cpuinfo, new RegExp(`\\b${feature}\\b`))
  }
})

test('the report for people shows the same, line by line', async t => {
  const { stdout } = await doctor(packageRoot())
  for (const heading of [
    'rlt',
    'Processor',
    'Memory',
    'Disk',
    'GPU',
    'LibTorch',
    'Addon',
    'Engine',
    'Python',
    'Cache',
  ]) {
    t.regex(stdout, new RegExp(`^${heading} `, 'm'))
  }
})

test('it works before the addon is built, and says how to build it', async t => {
  const root = await makeUnbuiltPackage(t)
  const { exitCode, stdout } = await doctor(root, ['--json'])
  const findings: Findings = JSON.parse(stdout)
  t.is(exitCode, 1)
  t.false(findings.addon.built)
  t.is(findings.engine, null)
  t.deepEqual(
    findings.problems.find(problem => /not built/.test(problem.what)),
    { severity: 'error', what: 'The native addon is not built.', fix: ['npm run build:native'] },
  )
  t.regex((await doctor(root)).stdout, /✗ The native addon is not built\.\n {4}npm run build:native/)
})

test('an addon that does not load is reported with the reason', async t => {
  const root = await makeUnbuiltPackage(t)
  await mkdir(path.join(root, 'build/Release'), { recursive: true })
  await writeFile(path.join(root, 'build/Release/rlt.node'), 'not a library')
  const { exitCode, stdout } = await doctor(root, ['--json'])
  const findings: Findings = JSON.parse(stdout)
  t.is(exitCode, 1)
  t.true(findings.addon.built)
  t.false(findings.addon.loads)
  t.regex(findings.problems[0]!.what, /does not load: .*(invalid ELF header|file too short|not a mach-o)/)
})

test('what is missing for a build is an error only while there is something to build', async t => {
  const empty = await makeFolder(t)
  const env = { PATH: empty, HOME: empty }
  const built: Findings = JSON.parse((await doctor(packageRoot(), ['--json'], env)).stdout)
  const unbuilt: Findings = JSON.parse((await doctor(await makeUnbuiltPackage(t), ['--json'], env)).stdout)
  const severity = (findings: Findings) =>
    findings.problems.find(problem => /CMake/.test(problem.what))?.severity
  t.is(severity(built), 'warning')
  t.is(severity(unbuilt), 'error')
})

test('a LIBTORCH that is none is reported, not thrown', async t => {
  const { exitCode, stdout } = await doctor(packageRoot(), ['--json'], {
    ...process.env,
    LIBTORCH: '/nowhere',
  })
  t.is(exitCode, 1)
  t.regex(
    (JSON.parse(stdout) as Findings).problems[0]!.what,
    /LIBTORCH names \/nowhere, but there is no such folder/,
  )
})
