/**
 * Ways to make one number of the numbers of a span's tokens, as the reference code does
 * (github.com/SakanaAI/RLT, trainers/teacher_base.py, `_make_reduction_fn`).
 *
 * A NaN among the values makes the result NaN, except for the median and the quartiles, which leave it out.
 * Of no values at all there is no reduction: the result is NaN. (The reference code's minimum and maximum of no
 * values are the largest and the smallest float; a reward of 1e36 for an empty explanation is not wanted here.)
 */
export interface ReductionWeights {
  mean?: number
  sum?: number
  min?: number
  max?: number
  /** The lower of the two middle values when their number is even, as torch's median. */
  median?: number
  /** The value a quarter of the way up, interpolated linearly between neighbours. */
  firstQuartile?: number
  /** The value three quarters of the way up, interpolated linearly between neighbours. */
  lastQuartile?: number
}

export type Reduction = keyof ReductionWeights

type Values = ArrayLike<number>

export const reductions: Record<Reduction, (values: Values) => number> = {
  mean: values => sum(values) / values.length,
  sum: values => (values.length === 0 ? Number.NaN : sum(values)),
  min: values => extreme(values, Math.min),
  max: values => extreme(values, Math.max),
  median: values => {
    const sorted = ascending(values)
    return sorted[(sorted.length - 1) >> 1] ?? Number.NaN
  },
  firstQuartile: values => quantile(values, 0.25),
  lastQuartile: values => quantile(values, 0.75),
}

/**
 * The weighted sum of reductions of `values`.
 * @param ifNaN stands in for each reduction that is NaN
 */
export function weightedReductions(values: Values, weights: ReductionWeights, ifNaN: number): number {
  let total = 0
  for (const [name, reduce] of Object.entries(reductions) as [Reduction, (values: Values) => number][]) {
    const weight = weights[name] ?? 0
    if (weight === 0) continue
    const reduced = reduce(values)
    total += weight * (Number.isNaN(reduced) ? ifNaN : reduced)
  }
  return total
}

function sum(values: Values): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]!
  return total
}

// Not Math.min(...values): a span of 100,000 tokens would be that many arguments.
function extreme(values: Values, of: (a: number, b: number) => number): number {
  let result = values[0] ?? Number.NaN
  for (let i = 1; i < values.length; i++) result = of(result, values[i]!)
  return result
}

function quantile(values: Values, fraction: number): number {
  const sorted = ascending(values)
  if (sorted.length === 0) return Number.NaN
  const position = fraction * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below]!
  // Without this, the last value would be interpolated with one that is not there, and -Infinity with itself.
  if (position === below) return low
  return low + (position - below) * (sorted[below + 1]! - low)
}

function ascending(values: Values): Float64Array {
  return Float64Array.from(values)
    .filter(value => !Number.isNaN(value))
    .sort()
}
