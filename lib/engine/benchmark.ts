/** Single operations of the engine, beside plain statements of them: for `rlt bench` and for tests. */
import { addon, callAddonNow, cancellable, type NativeDifference, type NativePeaks } from './addon.js'
import type { Dtype } from './types.js'

/** The numbers that say how large an operation is, by the names that {@link kernelOperations} gives. */
export type KernelSizes = Readonly<Record<string, number>>

export interface KernelSetting {
  dtype: Dtype
  /** As chooseDevice() gives it. */
  device: string
  signal?: AbortSignal | undefined
}

export interface KernelEffort {
  /** To spend on both sides together. */
  seconds: number
  /** Of each side, at least. */
  repetitions: number
}

export interface KernelTimes {
  /** Seconds of each repetition; the two sides take turns of some 20 ms. */
  kernel: Float64Array
  plain: Float64Array
  /** Floating-point operations, and bytes to read or write at least, of one repetition. */
  operations: number
  bytes: number
}

export interface KernelDifferences {
  kernel: NativeDifference[]
  plain: NativeDifference[]
}

/** The operations that can be timed and verified, and the sizes that each takes. */
export function kernelOperations(): { name: string; sizes: string[] }[] {
  return callAddonNow(() => addon().kernelOperations())
}

/**
 * Times an operation as the engine does it, and as a plain statement in LibTorch's operations.
 * @throws EngineError `ERR_ARGUMENT` for an operation that there is not, or sizes that are not its own
 */
export function timeKernel(
  name: string,
  sizes: KernelSizes,
  { dtype, device, signal, seconds, repetitions }: KernelSetting & KernelEffort,
): Promise<KernelTimes> {
  return cancellable(signal, cancel =>
    addon().timeKernel(name, sizes, { dtype, device, seconds, repetitions }, cancel),
  )
}

/**
 * How far an operation's results are from the exact ones: fp64, gradients by autograd of the forward formula.
 * @throws EngineError as {@link timeKernel}
 */
export function verifyKernel(
  name: string,
  sizes: KernelSizes,
  { dtype, device, signal, seed = 0 }: KernelSetting & { seed?: number },
): Promise<KernelDifferences> {
  return cancellable(signal, cancel => addon().verifyKernel(name, sizes, { dtype, device, seed }, cancel))
}

/** The fastest matrix products, in operations a second, and the fastest memory, in bytes a second. */
export function measurePeaks({
  dtype,
  device,
  signal,
  seconds,
  repetitions,
}: KernelSetting & KernelEffort): Promise<NativePeaks> {
  return cancellable(signal, cancel => addon().measurePeaks({ dtype, device, seconds, repetitions }, cancel))
}
