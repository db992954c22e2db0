#!/usr/bin/env node
// Compiles every CUDA source to an object file, on a machine that need not have a GPU: `npm run build:cuda-check`.
// The compiler is CUDA_HOME's, else the pinned wheels' in the per-user cache, fetched (some 100 MB) when missing.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { buildJobs } from './install/build.mjs'
import { InstallError } from './install/errors.mjs'
import { findLibTorch } from './install/libtorch.mjs'
import { packageRoot, versions } from './install/versions.mjs'
import { fetchCudaCompiler } from './install/wheels.mjs'

/** nvcc's options for architectures as CMake names them: '80-real' is code for that one, '90' also code that newer ones translate. */
const architectures = versions.libtorch.cudaArchitectures.map(name => {
  const [number, kind] = name.split('-')
  const code =
    { real: `sm_${number}`, virtual: `compute_${number}` }[kind] ?? `[sm_${number},compute_${number}]`
  return `-gencode=arch=compute_${number},code=${code}`
})

async function main() {
  const { found } = await findLibTorch()
  if (!found) {
    throw new InstallError('NO_LIBTORCH', 'There is no LibTorch to compile against.', [
      'npm run build:native',
    ])
  }
  const home = process.env.CUDA_HOME || (await fetchCudaCompiler())
  if (!existsSync(path.join(home, 'bin/nvcc'))) {
    throw new InstallError('NO_NVCC', `There is no bin/nvcc in CUDA_HOME, ${home}.`, ['unset CUDA_HOME'])
  }
  const sources = (await readdir(path.join(packageRoot, 'native/kernels/cuda'))).filter(name =>
    name.endsWith('.cu'),
  )
  const objects = await mkdtemp(path.join(os.tmpdir(), 'rlt-cuda-'))
  try {
    const waiting = [...sources]
    const failed = []
    const work = async () => {
      for (let name = waiting.shift(); name; name = waiting.shift()) {
        if ((await compile(name, { home, libtorch: found, objects })) !== 0) failed.push(name)
      }
    }
    await Promise.all(Array.from({ length: buildJobs() }, work))
    if (failed.length > 0) throw new Error(`Not compiled: ${failed.join(', ')}`)
    if (sources.length === 0) throw new Error('There are no CUDA sources.')
    console.log(
      `Compiled for ${versions.libtorch.cudaArchitectures.join(' and ')}, not run: ${sources.join(', ')}`,
    )
  } finally {
    await rm(objects, { recursive: true, force: true })
  }
}

function compile(name, { home, libtorch, objects }) {
  const include = path.join(libtorch.folder, 'include')
  const args = ['-c', path.join('native/kernels/cuda', name), '-o', path.join(objects, `${name}.o`)]
  args.push('-std=c++20', '--expt-relaxed-constexpr', '--expt-extended-lambda', ...architectures)
  args.push('-I.', `-I${include}`, `-I${include}/torch/csrc/api/include`, `-I${home}/include`)
  return new Promise((resolve, reject) => {
    const child = spawn(path.join(home, 'bin/nvcc'), args, {
      cwd: packageRoot,
      stdio: ['ignore', process.stderr, process.stderr],
    })
    child.on('error', reject)
    child.on('close', resolve)
  })
}

main().catch(error => {
  console.error(error instanceof InstallError ? `${error.code}: ${error.message}` : error)
  process.exitCode = error.code === 'FETCH_FAILED' || error.code === 'NO_WHEEL' ? 3 : 1
})
