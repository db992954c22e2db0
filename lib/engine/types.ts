import type { SamplingFinish } from './sampling.js'

/** Token ids. */
export type Tokens = Int32Array | readonly number[]

/**
 * Sequences that share a prefix: the one shape in which tokens reach the engine. Whatever is computed about a group
 * is computed for its prefix once.
 */
export interface TokenGroup {
  readonly prefix: Tokens
  readonly suffixes: readonly Tokens[]
}

export type Dtype = 'float32' | 'bfloat16'

/** One value for each token of each suffix: `[group][suffix][token]`. */
export type PerToken = readonly (readonly Float32Array[])[]

/** The samples of one request. */
export interface SampledGroup {
  prefix: Int32Array
  /** The tokens of each sample; a stop token, or the token that completed a stop string, is the last one. */
  suffixes: Int32Array[]
  /** log softmax(logits / temperature) of each token over the whole vocabulary; at temperature 1 if greedy. */
  logProbs: Float32Array[]
  finish: SamplingFinish[]
}

/** What can be asked of every long call. */
export interface CallOptions {
  /** Aborting rejects with an {@link AbortedError}; what was computed so far is dropped. */
  signal?: AbortSignal | undefined
  /** Called with the share of the work that is done, from 0 to 1. */
  onProgress?: ((share: number) => void) | undefined
}
