/** What there is of GPUs, or why none can be used. */
import type { SystemInformation } from '../../engine/addon.js'
import type { Problem } from './installation.js'
import type { Gpu } from './machine.js'

type Engine = Pick<SystemInformation, 'cudaDevices' | 'cuda'>

/**
 * The line of the report.
 *
 * @param gpus as the driver's own tool lists them
 * @param engine null where the addon does not load
 */
export function describeGpus(gpus: readonly Gpu[], engine: Engine | null): string {
  const cuda = engine?.cuda
  if (cuda && cuda.devices.length > 0) {
    const driver = gpus[0]
      ? `driver ${gpus[0].driver} for CUDA ${cuda.driver}`
      : `a driver for CUDA ${cuda.driver}`
    const devices = cuda.devices.map(
      ({ name, memoryBytes, computeCapability }) =>
        `${name}, ${gigabytes(memoryBytes)}, compute capability ${computeCapability}`,
    )
    return `${devices.join('; ')}; ${driver}; CUDA ${cuda.runtime} build`
  }
  const listed = gpus
    .map(gpu => `${gpu.name}, ${gigabytes(gpu.memoryBytes)}, driver ${gpu.driver}`)
    .join('; ')
  if (cuda) {
    // Without a driver CUDA says that its version is insufficient, which would mislead.
    const reason = cuda.driver ? `the driver serves CUDA ${cuda.driver}: ${cuda.problem}` : 'no NVIDIA driver'
    return `CUDA ${cuda.runtime} build, ${listed ? `${listed}, but it cannot be used` : 'no GPU found'} (${reason})`
  }
  if (engine === null) return listed || 'none'
  if (engine.cudaDevices > 0)
    return `${listed || engine.cudaDevices}; a build without CUDA kernels of its own`
  return `${listed || 'none'}; a build without CUDA`
}

/** @param leastCapability of the GPUs that the kernels are compiled for, e.g. 8 */
export function gpuProblems(gpus: readonly Gpu[], engine: Engine | null, leastCapability: number): Problem[] {
  if (engine === null) return []
  const warning = (what: string, fix: string[]): Problem => ({ severity: 'warning', what, fix })
  const tooOld = (engine.cuda?.devices ?? []).filter(
    device => Number(device.computeCapability) < leastCapability,
  )
  const problems = tooOld.map(({ name, computeCapability }) =>
    warning(
      `${name} is of compute capability ${computeCapability}; the kernels are compiled for ${leastCapability.toFixed(1)} and newer.`,
      ['--device cpu'],
    ),
  )
  if (gpus.length === 0 || engine.cudaDevices > 0) return problems
  const there = `There is a GPU (${gpus[0]!.name}), but the addon cannot use it`
  if (!engine.cuda)
    return [...problems, warning(`${there}: it is built without CUDA.`, ['RLT_CUDA=ON npm run build:native'])]
  const driver = engine.cuda.driver ? `its driver serves CUDA ${engine.cuda.driver}` : 'it finds no driver'
  const what = `${there}: ${engine.cuda.problem}; the build is of CUDA ${engine.cuda.runtime}, ${driver}.`
  return [
    ...problems,
    warning(what, [
      `Install a driver for CUDA ${engine.cuda.runtime.split('.')[0]}, or check that this container may use the GPU.`,
    ]),
  ]
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}
