#!/usr/bin/env node
// Compiles every CUDA source to an object file, on a machine that need not have a GPU: `npm run build:cuda-check`.
// The compiler is CUDA_HOME's, else the pinned wheels' in the per-user cache, fetched (some 100 MB) when missing.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { InstallError } from './install/errors.mjs'
import { findLibTorch } from './install/libtorch.mjs'
import { packageRoot } from './install/versions.mjs'
import { fetchCudaCompiler } from './install/wheels.mjs'

// As cmake/Cuda.cmake on a machine without a GPU.
const architectures = [
  '-gencode=arch=compute_80,code=sm_80',
  '-gencode=arch=compute_90,code=[sm_90,compute_90]',
]

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
    const statuses = await Promise.all(sources.map(name => compile(name, { home, libtorch: found, objects })))
    const failed = sources.filter((_, i) => statuses[i] !== 0)
    if (failed.length > 0) throw new Error(`Not compiled: ${failed.join(', ')}`)
    if (sources.length === 0) throw new Error('There are no CUDA sources.')
    console.log(`Compiled for sm_80 and sm_90, not run: ${sources.join(', ')}`)
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
