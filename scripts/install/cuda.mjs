// Decides whether the addon is built with CUDA and which compiler compiles its kernels.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { InstallError } from './errors.mjs'

/**
 * Whether to build with CUDA: RLT_CUDA=ON or OFF decides; otherwise it is built where an NVIDIA driver is loaded.
 *
 * @returns {'ON' | 'OFF'}
 */
export function wantsCuda(env = process.env, driverLoaded = existsSync('/proc/driver/nvidia/version')) {
  const choice = (env.RLT_CUDA ?? 'AUTO').toUpperCase()
  if (choice === 'AUTO') return driverLoaded ? 'ON' : 'OFF'
  if (choice === 'ON' || choice === 'OFF') return choice
  throw new InstallError('BAD_RLT_CUDA', `RLT_CUDA is '${env.RLT_CUDA}'; expected ON, OFF or AUTO.`, [
    'unset RLT_CUDA',
  ])
}

/** The CUDA toolkit beside a LibTorch that was fetched with it, else CUDA_HOME, else undefined: CMake looks further. */
export function findCudaHome(libtorch, env = process.env) {
  if (env.CUDA_HOME) return env.CUDA_HOME
  const besideTorch = path.resolve(libtorch.folder, '../nvidia/cu13')
  return existsSync(path.join(besideTorch, 'bin/nvcc')) ? besideTorch : undefined
}
