import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { AbortedError, EngineError } from '../errors.js'
import type { ModelConfiguration, WeightEntry } from '../models/index.js'
import { packageRoot } from '../packageRoot.js'
import type { Checkpointing } from './checkpointing.js'

/** A tensor as safetensors describes it. */
export interface TensorDescription {
  name: string
  shape: number[]
  dtype: 'F32' | 'BF16' | 'I16' | 'U8'
}

/** A loss with one value a suffix token in each array, as the addon takes it. */
export type NativeLoss =
  | { kind: 'sft'; weights: Float32Array }
  | {
      kind: 'grpo'
      weights: Float32Array
      advantages: Float32Array
      old?: Float32Array | undefined
      reference?: Float32Array | undefined
      beta: number
      clipLow: number
      clipHigh: number
      ratioLevel: 'token' | 'sequence'
      clipping: 'surrogate' | 'weight'
    }

export interface NativeLossStatistics {
  loss: number
  tokens: number
  entropySum: number
  klReferenceSum: number
  ratioSum: number
  clipped: number
  logProbs: Float32Array
}

export interface NativeSamplingStatistics {
  preemptions: number
  recomputedTokens: number
  peakSequences: number
  peakCacheBytes: number
}

export type OnTokens = (
  sequences: Int32Array,
  tokens: Int32Array,
  logProbs: Float32Array,
  finish: Int32Array,
) => void

export interface NativeModel {
  logProbabilities(
    tokens: Int32Array,
    layout: Int32Array,
    temperature: number,
    adapter: boolean,
    cancel: Int32Array,
  ): Promise<Float32Array>
  sample(
    tokens: Int32Array,
    layout: Int32Array,
    seeds: BigUint64Array,
    options: {
      temperature: number
      topP: number
      topK: number
      minP: number
      maxNewTokens: number
      cacheBytes: number
      prefillTokens: number
      stopTokens: Int32Array
    },
    stopFlags: Int32Array,
    cancel: Int32Array,
    onTokens: OnTokens,
  ): Promise<NativeSamplingStatistics>
  backward(
    tokens: Int32Array,
    layout: Int32Array,
    loss: NativeLoss,
    temperature: number,
    checkpointing: Checkpointing,
    cancel: Int32Array,
  ): Promise<NativeLossStatistics>
  zeroGradients(): Promise<void>
  blendFrom(other: NativeModel, amount: number): Promise<void>
  clone(trainable: boolean, adapter: boolean): Promise<NativeModel>
  tensors(): TensorDescription[]
  adapterTensors(): TensorDescription[]
  readTensor(name: string, gradient: boolean): Promise<Float32Array>
  writeTensors(file: string, header: Uint8Array, byteLength: number, names: string[]): Promise<void>
  dispose(): void
}

export interface NativeStep {
  gradNorm: number
  clipped: boolean
  skipped: boolean
  steps: number
}

export interface NativeAdamW {
  initialise(): Promise<void>
  step(learningRate: number, maxGradNorm: number): Promise<NativeStep>
  tensors(): TensorDescription[]
  writeTensors(file: string, header: Uint8Array, byteLength: number, names: string[]): Promise<void>
  readTensors(tensors: WeightEntry[], steps: number): Promise<void>
  dispose(): void
}

export interface SystemInformation {
  torchVersion: string
  /** What LibTorch's own kernels use: DEFAULT, AVX2, AVX512 … */
  cpuCapability: string
  /** What this engine's own kernels use: portable, avx2 or avx512. */
  vectorInstructionSet: string
  /** Whether this CPU multiplies bfloat16 matrices in hardware; elsewhere float32 is faster. */
  bfloat16Fast: boolean
  threads: number
  cudaDevices: number
  /** Null where the addon was built without CUDA, or without its kernels. */
  cuda: CudaInformation | null
}

export interface CudaInformation {
  /** The version of CUDA that the addon was built with, e.g. 13.2. */
  runtime: string
  /** The newest version that the driver serves; empty without a driver. */
  driver: string
  /** Why no GPU can be used, in CUDA's own words; empty where one can. */
  problem: string
  devices: { name: string; memoryBytes: number; computeCapability: string }[]
}

/** How far one output of an operation is from the exact one. */
export interface NativeDifference {
  output: string
  /** |found - exact| / |exact|, Euclidean norms over the whole tensor. */
  typical: number
  /** The largest |found - exact| / (|exact| + root mean square of all exact values). */
  worst: number
  /** The largest |found - exact|. */
  largest: number
}

export interface NativePeaks {
  products: { name: string; perSecond: number }[]
  bandwidths: { name: string; perSecond: number }[]
}

interface NativeSetting {
  dtype: string
  device: string
}

export interface Addon {
  loadModel(
    configuration: ModelConfiguration,
    weights: WeightEntry[],
    options: {
      dtype: string
      device: string
      trainable: boolean
      lora?: { rank: number; scale: number; targets: readonly string[]; seed: number } | undefined
    },
    cancel: Int32Array,
  ): Promise<NativeModel>
  NativeAdamW: new (
    model: NativeModel,
    options: {
      beta1: number
      beta2: number
      epsilon: number
      weightDecay: number
      moments: '8bit' | 'float32'
    },
  ) => NativeAdamW
  systemInformation(): SystemInformation
  setThreads(threads: number): void
  dequantise(type: string, bytes: Uint8Array, count: number): Float32Array
  kernelOperations(): { name: string; sizes: string[] }[]
  timeKernel(
    name: string,
    sizes: Readonly<Record<string, number>>,
    options: NativeSetting & { seconds: number; repetitions: number },
    cancel: Int32Array,
  ): Promise<{ kernel: Float64Array; plain: Float64Array; operations: number; bytes: number }>
  verifyKernel(
    name: string,
    sizes: Readonly<Record<string, number>>,
    options: NativeSetting & { seed: number },
    cancel: Int32Array,
  ): Promise<{ kernel: NativeDifference[]; plain: NativeDifference[] }>
  measurePeaks(
    options: NativeSetting & { seconds: number; repetitions: number },
    cancel: Int32Array,
  ): Promise<NativePeaks>
}

let loaded: Addon | undefined

/** The addon, loaded at first use. Throws an {@link EngineError} that says what to type when it was not built. */
export function addon(): Addon {
  if (loaded) return loaded
  const file = join(packageRoot(), 'build', 'Release', 'rlt.node')
  if (!existsSync(file)) {
    throw new EngineError(
      'ERR_NOT_BUILT',
      `The engine is not built: there is no ${file}. Build it with: npx rlt-install`,
    )
  }
  try {
    loaded = createRequire(import.meta.url)(file) as Addon
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new EngineError(
      'ERR_NOT_BUILT',
      `The engine ${file} does not load: ${reason}\nBuild it again with: npx rlt-install`,
      {
        cause: error,
      },
    )
  }
  loaded.setThreads(availableParallelism())
  return loaded
}

/** Runs a call of the addon; what it throws or rejects with becomes one of rlt's errors. */
export async function callAddon<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw toEngineError(error)
  }
}

/** The same for a call that returns at once. */
export function callAddonNow<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw toEngineError(error)
  }
}

function toEngineError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof EngineError) return error
  const code = (error as { code?: unknown }).code
  if (code === 'ERR_ABORTED') return new AbortedError(error.message, { cause: error })
  return typeof code === 'string' ? new EngineError(code, error.message, { cause: error }) : error
}

/** Runs a call that can be cancelled: the flag it is given is set when the signal aborts. */
export async function cancellable<T>(
  signal: AbortSignal | undefined,
  call: (cancel: Int32Array) => Promise<T>,
): Promise<T> {
  if (signal?.aborted)
    throw new AbortedError('The call was aborted before it began.', { cause: signal.reason })
  const cancel = new Int32Array(1)
  const onAbort = () => {
    Atomics.store(cancel, 0, 1)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await callAddon(() => call(cancel))
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
