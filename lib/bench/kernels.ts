/** Which operations are timed, at the shapes of SmolLM2-135M. */
import { timeKernel } from '../engine/benchmark.js'
import { watched } from './disturbance.js'
import type { BenchRow } from './report.js'
import { type Peak, rates } from './roofline.js'
import type { BenchSetting } from './setting.js'
import { quartiles } from './statistics.js'
import type { KernelAtSize } from './verification.js'

const heads = { heads: 9, keyValueHeads: 3, headSize: 64 }

/** Inputs and outputs of a layer's projections: query, key and value; attention output; gate and up; down. */
const projections = [
  { in: 576, out: 960 },
  { in: 576, out: 576 },
  { in: 576, out: 3072 },
  { in: 1536, out: 576 },
]

export function benchedKernels(quick: boolean): KernelAtSize[] {
  const tokens = quick ? [1, 64] : [1, 16, 64, 512, 4096]
  const packed = quick ? 64 : 4096
  const both = (name: string) => [name, `${name}-backward`]
  const of = (names: string[], ...all: Record<string, number>[]): KernelAtSize[] =>
    names.flatMap(name => all.map(sizes => ({ name, sizes })))
  return [
    ...of(
      ['linear', 'linear-backward-input', 'linear-backward-weight'],
      ...(quick ? projections.slice(2, 3) : projections).flatMap(shape =>
        tokens.map(count => ({ tokens: count, ...shape })),
      ),
    ),
    ...of(['linear'], { tokens: 64, in: 576, out: 49152 }),
    ...of(['low-rank-adapter'], ...tokens.map(count => ({ tokens: count, in: 576, out: 1536, rank: 16 }))),
    ...of(
      both('group-attention'),
      { groups: 1, prefix: 256, suffixes: quick ? 2 : 8, suffix: quick ? 32 : 256, ...heads },
      ...(quick ? [] : [{ groups: 4, prefix: 1024, suffixes: 1, suffix: 1, ...heads }]),
    ),
    ...of(
      ['decode-attention'],
      { groups: 1, prefix: 512, samples: 1, suffix: 64, ...heads },
      ...(quick ? [] : [{ groups: 8, prefix: 512, samples: 8, suffix: 256, ...heads }]),
    ),
    ...of(
      ['chunk-attention'],
      ...(quick
        ? [{ chunks: 1, shared: 0, history: 64, tokens: 32, ...heads }]
        : [
            { chunks: 1, shared: 0, history: 3072, tokens: 1024, ...heads },
            { chunks: 4, shared: 200, history: 0, tokens: 512, ...heads },
          ]),
    ),
    ...of(both('rms-norm'), { tokens: packed, width: 576 }),
    ...of(both('rotary'), { tokens: packed, ...heads }),
    ...of(both('swiglu'), { tokens: packed, width: 1536 }),
    ...of([...both('token-log-probabilities'), 'token-entropies'], {
      tokens: quick ? 16 : 512,
      ...{ hidden: 576, vocabulary: 49152 },
    }),
    ...of(
      ['choose-token', 'choose-token-filtered'],
      ...(quick ? [1] : [1, 64]).map(count => ({ tokens: count, vocabulary: 49152 })),
    ),
    ...of(['adamw', 'adamw-8bit'], { rows: quick ? 512 : 16384, width: 576 }),
  ]
}

export async function benchKernel(
  { name, sizes }: KernelAtSize,
  setting: BenchSetting,
  peak: Peak,
): Promise<BenchRow> {
  const { dtype, device, threads, quick, signal } = setting
  const effort = quick ? { seconds: 0.05, repetitions: 3 } : { seconds: 0.5, repetitions: 7 }
  const { result, others } = await watched(() =>
    timeKernel(name, sizes, { dtype, device, signal, ...effort }),
  )
  const { kernel, plain, operations, bytes } = result
  const [seconds, plainSeconds] = [quartiles(kernel), quartiles(plain)]
  return {
    section: 'kernels',
    ...{ name, sizes, dtype, device, threads, seconds },
    repetitions: kernel.length,
    plain: plainSeconds,
    speedup: plainSeconds.median / seconds.median,
    ...rates([{ operations, bytes }], seconds.median, peak),
    ...(others !== undefined && { otherCpuShare: others }),
  }
}
