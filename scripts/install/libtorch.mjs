// Finds LibTorch in the order that users expect: the one they name, the one they have, the pinned one.

import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from './cache.mjs'
import { InstallError } from './errors.mjs'
import { findPython } from './tools.mjs'
import { isSupported, platformKey, supportedRange, versions } from './versions.mjs'

const run = promisify(execFile)

/**
 * @typedef {object} LibTorch
 * @property {string} folder the folder with include/ and lib/
 * @property {string} version e.g. '2.15.0'
 * @property {'LIBTORCH' | 'python' | 'cache'} origin where it was found
 * @property {boolean} cuda whether its CUDA half is there
 */

/**
 * The LibTorch to build with, without touching the network.
 *
 * @param {object} [options]
 * @param {NodeJS.ProcessEnv} [options.env]
 * @param {boolean} [options.cuda] only one that has its CUDA half
 * @returns {Promise<{ found: LibTorch | undefined, notes: string[] }>} notes say why something was passed over
 * @throws {InstallError} when LIBTORCH names something unusable: what the user asked for is never passed over
 */
export async function findLibTorch({ env = process.env, cuda = false } = {}) {
  const notes = []
  if (env.LIBTORCH) return { found: namedLibTorch(env.LIBTORCH), notes }

  const python = await pythonLibTorch(env, notes)
  if (python && (python.cuda || !cuda)) return { found: python, notes }
  if (python) notes.push(`Python's torch at ${python.folder} was passed over: it has no CUDA.`)

  return { found: cachedLibTorch({ env, cuda }), notes }
}

function namedLibTorch(value) {
  const folder = path.resolve(value)
  const problem = whyUnusable(folder)
  if (problem) {
    throw new InstallError('BAD_LIBTORCH', `LIBTORCH names ${folder}, but ${problem}.`, [
      'Set LIBTORCH to the folder that has include/ and lib/ (in a Python installation: site-packages/torch).',
      'Or let the installation find or fetch one: unset LIBTORCH',
    ])
  }
  return describeFolder(folder, 'LIBTORCH')
}

// find_spec only looks: importing torch would take seconds and can fail for reasons that do not concern its libraries.
const askPython =
  'import importlib.util as u; s = u.find_spec("torch"); print((list(s.submodule_search_locations or []) or [""])[0] if s else "")'

async function pythonLibTorch(env, notes) {
  const python = findPython(env)
  if (!python) return undefined
  let folder = ''
  try {
    const { stdout } = await run(python, ['-c', askPython], { env, cwd: '/', timeout: 60_000 })
    folder = stdout.trim()
  } catch (error) {
    notes.push(`${python} could not be asked for torch: ${String(error.message).trim().split('\n').at(-1)}`)
  }
  if (!folder) return undefined
  const problem = whyUnusable(folder)
  if (problem) {
    notes.push(`Python's torch at ${folder} was passed over: ${problem}.`)
    return undefined
  }
  return describeFolder(folder, 'python')
}

/** Where the pinned LibTorch lies in the cache, present or not. */
export function pinnedFolder({ env = process.env, cuda = false } = {}) {
  return path.join(
    cacheFolder(env),
    'libtorch',
    `${versions.libtorch.version}-${platformKey()}${cuda ? '-cuda' : ''}`,
  )
}

/** The pinned LibTorch, if it was fetched completely: it is renamed to its place as the last step. */
function cachedLibTorch({ env, cuda }) {
  // The CUDA variant holds everything, so a build without CUDA can use it as well.
  for (const variant of cuda ? [true] : [false, true]) {
    const folder = path.join(pinnedFolder({ env, cuda: variant }), 'torch')
    if (existsSync(folder) && !whyUnusable(folder)) return describeFolder(folder, 'cache')
  }
  return undefined
}

/** A reason in words why `folder` is no LibTorch to build with, or undefined when it is one. */
export function whyUnusable(folder) {
  if (!existsSync(folder)) return 'there is no such folder'
  for (const part of [
    'include/ATen/ATen.h',
    `lib/${libraryName('torch_cpu')}`,
    `lib/${libraryName('c10')}`,
  ]) {
    if (!existsSync(path.join(folder, part))) return `${part} is missing in it`
  }
  const version = readVersion(folder)
  if (!version) return 'its version cannot be read from include/torch'
  if (!isSupported(version)) return `it is version ${version} and this release supports ${supportedRange()}`
  return undefined
}

function describeFolder(folder, origin) {
  return {
    folder,
    version: readVersion(folder),
    origin,
    cuda: existsSync(path.join(folder, 'lib', libraryName('torch_cuda'))),
  }
}

function readVersion(folder) {
  for (const header of [
    'include/torch/headeronly/version.h',
    'include/torch/csrc/api/include/torch/version.h',
  ]) {
    let text
    try {
      text = readFileSync(path.join(folder, header), 'utf8')
    } catch {
      continue // The header moved in 2.11; the other place has it.
    }
    const part = name => new RegExp(`#define TORCH_VERSION_${name} +(\\d+)`).exec(text)?.[1]
    if (part('MAJOR')) return `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`
  }
  return undefined
}

function libraryName(name) {
  return process.platform === 'darwin' ? `lib${name}.dylib` : `lib${name}.so`
}
