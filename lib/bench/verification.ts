/**
 * Each operation's result beside the exact one, at sizes where work is divided unevenly: `rlt bench --verify`, and the
 * tests of the kernels.
 */
import { type KernelDifferences, type KernelSizes, verifyKernel } from '../engine/benchmark.js'
import type { Dtype } from '../engine/index.js'

export interface KernelAtSize {
  name: string
  sizes: KernelSizes
}

/** The largest differences that rounding explains; the measures are NativeDifference's. */
export interface Tolerance {
  typical: number
  worst: number
}

/**
 * A number is rounded to bfloat16 by at most 2^-9 of its size and by 0.0017 in the mean square. Results are rounded
 * once, attention's probabilities and the logits' gradients before that too: together 0.0026 in the mean square. A
 * gradient through attention's softmax is the small rest of terms of which one was rounded, and by 2^-4 off in the
 * worst of a million places, whoever computes it; LibTorch's flash attention, which a GPU takes for it, rounds the
 * gradients of both its parts as well, and the values that they are computed from. In float32 (2^-24), sums of thousands
 * of terms in another order differ by some 1e-6.
 */
export function toleranceOf(name: string, dtype: Dtype, device = 'cpu'): Tolerance {
  if (dtype === 'float32') return { typical: 2e-6, worst: 2e-5 }
  if (!name.endsWith('group-attention-backward')) return { typical: 2 ** -8, worst: 2 ** -5 }
  const flash = device !== 'cpu' || name.startsWith('flash')
  return { typical: flash ? 1.5 * 2 ** -8 : 2 ** -8, worst: 2 ** -3 }
}

export interface VerifiedOutput extends KernelAtSize {
  dtype: Dtype
  side: 'kernel' | 'plain'
  output: string
  typical: number
  worst: number
  tolerance: Tolerance
  passed: boolean
}

export interface VerifyOptions {
  dtype: Dtype
  device: string
  signal?: AbortSignal | undefined
}

/** Both the engine's side and the plain one are held against the exact result. */
export async function verifyAt(
  { name, sizes }: KernelAtSize,
  options: VerifyOptions,
): Promise<VerifiedOutput[]> {
  const differences = await verifyKernel(name, sizes, { ...options, seed: 1 })
  return judge({ name, sizes }, options.dtype, differences, options.device)
}

export function judge(
  { name, sizes }: KernelAtSize,
  dtype: Dtype,
  differences: KernelDifferences,
  device = 'cpu',
): VerifiedOutput[] {
  const tolerance = toleranceOf(name, dtype, device)
  return (['kernel', 'plain'] as const).flatMap(side =>
    differences[side].map(({ output, typical, worst }) => ({
      ...{ name, sizes, dtype, side, output, typical, worst, tolerance },
      passed: typical <= tolerance.typical && worst <= tolerance.worst,
    })),
  )
}

const tokenCounts = [1, 15, 17, 33]

/** Sizes that no vector width, tile or block divides, and the smallest there are. */
export const oddSizes: readonly KernelAtSize[] = [
  ...tokenCounts.flatMap(tokens => ofTokens(tokens, 101)),
  // Rows beyond one task's share, and more parts of a sum than threads.
  ...ofTokens(1201, 577),
  ...tokenCounts.flatMap(tokens =>
    [1, 5, 16, 17].map(rank => ({ name: 'low-rank-adapter', sizes: { tokens, in: 101, out: 83, rank } })),
  ),
  { name: 'low-rank-adapter', sizes: { tokens: 1201, in: 2051, out: 577, rank: 18 } }, // several parts of terms and rows
  ...tokenCounts.flatMap(tokens =>
    ['rotary', 'rotary-backward'].flatMap(name =>
      [64, 80, 128].map(headSize => ({ name, sizes: { tokens, heads: 3, keyValueHeads: 1, headSize } })),
    ),
  ),
  ...['group', 'flash-group']
    .flatMap(way => [`${way}-attention`, `${way}-attention-backward`])
    .flatMap(name => [
      ...[1, 15, 17, 33].map(suffix => group(name, { prefix: 19, suffix })),
      ...[1, 15, 17, 33].map(prefix => group(name, { prefix, suffix: 5 })),
      ...[64, 80, 128].map(headSize => group(name, { prefix: 17, suffix: 9, headSize })),
      group(name, { prefix: 0, suffix: 17 }),
      group(name, { prefix: 17, suffix: 0 }),
      group(name, { prefix: 1, suffix: 1, heads: 1, keyValueHeads: 1 }),
      group(name, { prefix: 33, suffix: 15, heads: 1, keyValueHeads: 1, headSize: 80 }),
      group(name, { prefix: 17, suffix: 15, heads: 5, keyValueHeads: 5 }),
      group(name, { prefix: 301, suffix: 277, groups: 1, suffixes: 2 }), // several chunks of queries
    ]),
  ...[1, 15, 17, 33].map(suffix => decode({ prefix: 19, suffix })),
  ...[1, 15, 16, 33].map(prefix => decode({ prefix, suffix: 5 })),
  ...[1, 15, 16, 33].map(tokens => chunk({ shared: 0, history: 32, tokens })),
  ...[1, 15, 16, 33].map(history => chunk({ shared: 0, history, tokens: 37 })),
  ...[1, 15, 16, 33].map(shared => chunk({ shared, history: 16, tokens: 21 })),
  ...[64, 80, 128].map(headSize => chunk({ shared: 17, history: 0, tokens: 19, headSize })),
  chunk({ shared: 0, history: 21, tokens: 35, heads: 1, keyValueHeads: 1 }),
  chunk({ shared: 0, history: 301, tokens: 277, chunks: 1 }),
  ...[64, 80, 128].map(headSize => decode({ prefix: 17, suffix: 9, headSize })),
  decode({ prefix: 1, suffix: 1, groups: 1, samples: 1, heads: 1, keyValueHeads: 1 }),
  decode({ prefix: 17, suffix: 3, samples: 17 }), // more samples than a task takes
  ...['token-log-probabilities', 'token-entropies', 'token-log-probabilities-backward'].flatMap(name => [
    ...tokenCounts.map(tokens => ({ name, sizes: { tokens, hidden: 72, vocabulary: 2503 } })),
    { name, sizes: { tokens: 3, hidden: 17, vocabulary: 2 } },
    { name, sizes: { tokens: 5000, hidden: 16, vocabulary: 2503 } }, // two slices of the vocabulary
  ]),
  ...['choose-token', 'choose-token-filtered'].flatMap(name =>
    tokenCounts.map(tokens => ({ name, sizes: { tokens, vocabulary: 2503 } })),
  ),
  ...['adamw', 'adamw-8bit'].flatMap(name => [
    ...tokenCounts.map(rows => ({ name, sizes: { rows, width: 101 } })),
    { name, sizes: { rows: 701, width: 577 } },
  ]),
]

function ofTokens(tokens: number, width: number): KernelAtSize[] {
  const products = ['linear', 'linear-backward-input', 'linear-backward-weight']
  const rows = ['rms-norm', 'rms-norm-backward', 'swiglu', 'swiglu-backward']
  return [
    ...products.flatMap(name => [
      { name, sizes: { tokens, in: width, out: 83 } },
      { name, sizes: { tokens, in: 96, out: 83 } }, // whole tiles, and columns beyond them
      { name, sizes: { tokens, in: 1, out: width } },
    ]),
    ...rows.map(name => ({ name, sizes: { tokens, width } })),
  ]
}

function group(name: string, sizes: KernelSizes): KernelAtSize {
  return { name, sizes: { groups: 2, suffixes: 3, heads: 6, keyValueHeads: 2, headSize: 64, ...sizes } }
}

function chunk(sizes: KernelSizes): KernelAtSize {
  return {
    name: 'chunk-attention',
    sizes: { chunks: 2, heads: 6, keyValueHeads: 2, headSize: 64, ...sizes },
  }
}

function decode(sizes: KernelSizes): KernelAtSize {
  return {
    name: 'decode-attention',
    sizes: { groups: 2, samples: 3, heads: 6, keyValueHeads: 2, headSize: 64, ...sizes },
  }
}
