#!/usr/bin/env node
// The install step: finds or fetches LibTorch, then builds the addon. `npm install` runs it, and so does
// `npm run build:native`, which is quick when little changed. In a project that depends on rlt: `npx rlt-install`.

import { buildAddon, checkAddonLoads } from './build.mjs'
import { findCudaHome, wantsCuda } from './cuda.mjs'
import { InstallError } from './errors.mjs'
import { findLibTorch } from './libtorch.mjs'
import { findBuildTool, findCMake, findCompiler } from './tools.mjs'
import { fetchLibTorch } from './wheels.mjs'

const usage = `Usage: rlt-install [--find]

Finds LibTorch (LIBTORCH, else an installed Python torch, else the pinned wheel, fetched once with pip into
RLT_CACHE or ~/.cache/rlt) and builds the addon.

  --find   only print which LibTorch a build would take, as JSON
  --help   this text

Environment: LIBTORCH, RLT_CACHE, RLT_CUDA=ON|OFF|AUTO, CUDA_HOME, CXX, PYTHON, CMAKE_BUILD_PARALLEL_LEVEL`

const log = line => console.error(`rlt: ${line}`)

async function main(args) {
  if (args.includes('--help')) return console.log(usage)
  const unknown = args.find(argument => argument !== '--find')
  if (unknown) throw new InstallError('BAD_USAGE', `Unknown argument '${unknown}'.\n${usage}`)

  const cuda = wantsCuda()
  const { found, notes } = await findLibTorch({ cuda: cuda === 'ON' })
  for (const note of notes) log(note)
  if (args.includes('--find')) return console.log(JSON.stringify(found ?? null))

  // What costs nothing to check comes before a download of half a gigabyte.
  findCompiler()
  findBuildTool()
  await findCMake()
  const libtorch = found ?? (await fetchPinned(cuda === 'ON'))
  log(`LibTorch ${libtorch.version} (${libtorch.origin}): ${libtorch.folder}`)
  await buildAddon({ libtorch, cuda, cudaHome: findCudaHome(libtorch), log })
  await checkAddonLoads()
}

async function fetchPinned(cuda) {
  await fetchLibTorch({ cuda, log })
  const { found } = await findLibTorch({ cuda })
  if (found) return found
  throw new InstallError('FETCH_FAILED', 'LibTorch was fetched, but is not usable.', [
    'rm -rf ~/.cache/rlt and try again.',
  ])
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof InstallError)) throw error
  console.error(`\nrlt: ${error.describe()}\n`)
  process.exitCode = 1
}
