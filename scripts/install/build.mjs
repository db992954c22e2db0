// Runs cmake-js: configures when something that decides the build changed, then builds what is out of date.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { InstallError } from './errors.mjs'
import { packageRoot } from './versions.mjs'

export const addonFile = path.join(packageRoot, 'build/Release/rlt.node')
// Apart from build/Release, because node-gyp keeps its own Makefile in build/.
const cmakeFolder = path.join(packageRoot, 'build/cmake')

/** One compilation of ATen's headers takes up to 2 GB, so memory bounds the jobs as well as cores do. */
export function buildJobs({ cores = os.availableParallelism(), memory = os.totalmem() } = {}) {
  return Math.max(1, Math.min(cores, Math.floor(memory / 2e9)))
}

/**
 * Builds build/Release/rlt.node.
 *
 * @param {object} options
 * @param {{ folder: string }} options.libtorch
 * @param {'ON' | 'OFF'} options.cuda
 * @param {string | undefined} options.cudaHome
 */
export async function buildAddon({ libtorch, cuda, cudaHome, env = process.env, log = console.error }) {
  const settings = {
    RLT_LIBTORCH: libtorch.folder,
    RLT_CUDA: cuda,
    ...(cudaHome ? { RLT_CUDA_HOME: cudaHome } : {}),
  }
  const arguments_ = [
    ...['--directory', packageRoot, '--out', cmakeFolder, '--config', 'Release', '--log-level', 'warn'],
    ...Object.entries(settings).map(([name, value]) => `--CD${name}=${value}`),
  ]
  await configureIfChanged({ packageRoot, CXX: env.CXX ?? '', ...settings }, arguments_, env, log)
  const jobs = env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(buildJobs())
  const status = await runCMakeJs('build', arguments_, { ...env, CMAKE_BUILD_PARALLEL_LEVEL: jobs })
  if (status !== 0) {
    throw new InstallError(
      'BUILD_FAILED',
      "The addon could not be compiled; the compiler's message is above.",
      [
        `If it was killed for want of memory: CMAKE_BUILD_PARALLEL_LEVEL=1 npm run build:native   (this run used ${jobs} jobs)`,
        'To start afresh: rm -rf build && npm run build:native',
      ],
    )
  }
}

async function configureIfChanged(configuration, arguments_, env, log) {
  const record = path.join(cmakeFolder, 'rlt-configuration.json')
  const wanted = JSON.stringify(configuration, undefined, 2)
  const previous = await readFile(record, 'utf8').catch(() => undefined)
  if (previous === wanted && existsSync(path.join(cmakeFolder, 'CMakeCache.txt'))) return

  // CMake refuses a build folder that was moved and keeps the first compiler for ever, so these start afresh.
  if (previous !== undefined)
    log('The configuration changed (LibTorch, CUDA, compiler or folder): building everything.')
  await rm(cmakeFolder, { recursive: true, force: true })
  const status = await runCMakeJs('configure', arguments_, env)
  if (status !== 0) {
    throw new InstallError(
      'CONFIGURE_FAILED',
      "CMake could not configure the build; CMake's message is above.",
      ['To start afresh: rm -rf build && npm run build:native'],
    )
  }
  await mkdir(cmakeFolder, { recursive: true })
  await writeFile(record, wanted)
}

function runCMakeJs(command, arguments_, env) {
  let program
  try {
    program = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js')
  } catch {
    throw new InstallError('NO_CMAKE_JS', 'cmake-js is not installed in node_modules.', ['npm install'])
  }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, command, ...arguments_], {
      env,
      stdio: ['ignore', process.stderr, process.stderr],
    })
    child.on('error', reject)
    child.on('close', resolve)
  })
}

/** Loads the addon in a process of its own; throws with the loader's message when it does not load. */
export async function checkAddonLoads(env = process.env) {
  const script = `process.dlopen({ exports: {} }, ${JSON.stringify(addonFile)})`
  const { status, output } = await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', script], { env, stdio: ['ignore', 'ignore', 'pipe'] })
    let output = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      output += text
    })
    child.on('error', reject)
    child.on('close', status => resolve({ status, output }))
  })
  if (status === 0) return
  const reason = /^Error: (.*)$/m.exec(output)?.[1] ?? output.trim().split('\n').at(-1)
  const library = /(lib[\w+]+\.so\S*): cannot open shared object/.exec(reason)?.[1]
  const remedies = library
    ? [
        `${library} should lie beside LibTorch: reinstall that LibTorch with what it depends on, e.g. pip install --force-reinstall torch`,
        'Or let the installation take another LibTorch: unset LIBTORCH; npm run build:native',
      ]
    : ['rm -rf build && npm run build:native']
  throw new InstallError('ADDON_DOES_NOT_LOAD', `The addon was built but does not load: ${reason}`, remedies)
}
