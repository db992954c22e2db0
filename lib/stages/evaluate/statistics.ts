/**
 * What samples say of a model, with how sure it is. The questions are what is drawn: samples of one question are not
 * independent of each other, so all errors are over questions.
 */
import { hashCounters, purposes } from '../../data/index.js'

export interface Estimate {
  mean: number
  /** Of the mean over questions; 0 for a single question, of which nothing can be said. */
  standardError: number
  /** Percentile bootstrap over questions. */
  low: number
  high: number
}

export interface Resampling {
  resamples: number
  confidence: number
  seed: number
}

/**
 * The probability that one of k samples is right, without bias: 1 - C(n - c, k) / C(n, k) for c right of n
 * (arXiv 2107.03374, section 2.1), as a product so that nothing overflows.
 */
export function passAtK(samples: number, right: number, k: number): number {
  if (samples - right < k) return 1
  let allWrong = 1
  for (let i = samples - right + 1; i <= samples; i++) allWrong *= 1 - k / i
  return 1 - allWrong
}

/** @param values one of each question */
export function estimate(values: readonly number[], resampling: Resampling): Estimate {
  const [low, high] = percentiles(bootstrapMeans(values, resampling), resampling.confidence)
  return { mean: mean(values), standardError: standardError(values), low, high }
}

export interface PairedDifference extends Estimate {
  /** Two-sided, of the mean difference being 0: the share of resamples on the other side of it, twice. */
  pValue: number
}

/**
 * How much larger the first of two models' values are, question by question (paired bootstrap, Koehn 2004): what both
 * find hard does not count.
 */
export function pairedDifference(
  first: readonly number[],
  second: readonly number[],
  resampling: Resampling,
): PairedDifference {
  const differences = first.map((value, i) => value - second[i]!)
  const means = bootstrapMeans(differences, resampling)
  const [low, high] = percentiles(means, resampling.confidence)
  const sides = [means.filter(value => value <= 0).length, means.filter(value => value >= 0).length]
  // One is added to both, for a share of 0 in so many resamples does not say that there is no chance at all.
  const pValue = Math.min(1, (2 * (Math.min(...sides) + 1)) / (means.length + 1))
  return { mean: mean(differences), standardError: standardError(differences), low, high, pValue }
}

export interface McNemar {
  /** Questions that only the first, and only the second answers rightly. */
  onlyFirst: number
  onlySecond: number
  /** Exact, two-sided: that a fair coin falls so, or less evenly (McNemar 1947, with the binomial distribution). */
  pValue: number
}

/** @param first whether each question was answered rightly */
export function mcNemar(first: readonly boolean[], second: readonly boolean[]): McNemar {
  const onlyFirst = first.filter((right, i) => right && !second[i]).length
  const onlySecond = first.filter((right, i) => !right && second[i]).length
  const tosses = onlyFirst + onlySecond
  let logChoices = 0
  let tail = 0
  for (let heads = 0; heads <= Math.min(onlyFirst, onlySecond); heads++) {
    tail += Math.exp(logChoices - tosses * Math.LN2)
    logChoices += Math.log((tosses - heads) / (heads + 1))
  }
  return { onlyFirst, onlySecond, pValue: Math.min(1, 2 * tail) }
}

/** Means of as many values drawn with replacement. The draws depend on seed and resample alone. */
function bootstrapMeans(values: readonly number[], { resamples, seed }: Resampling): Float64Array {
  const means = new Float64Array(resamples)
  for (let r = 0; r < resamples; r++) {
    const draw = uniform(Number(hashCounters(seed, purposes.bootstrap, r) & 0xffffffffn))
    let sum = 0
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(draw() * values.length)]!
    means[r] = sum / values.length
  }
  return means
}

/** Numbers in [0, 1) by mulberry32: a resample draws one a question, for which 64-bit hashes would be slow. */
function uniform(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function percentiles(values: Float64Array, confidence: number): [number, number] {
  const sorted = values.toSorted()
  const at = (share: number) => {
    const place = share * (sorted.length - 1)
    const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!]
    return below + (place - Math.floor(place)) * (above - below)
  }
  return [at((1 - confidence) / 2), at((1 + confidence) / 2)]
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

function standardError(values: readonly number[]): number {
  if (values.length < 2) return 0
  const average = mean(values)
  const squares = values.reduce((sum, value) => sum + (value - average) ** 2, 0)
  return Math.sqrt(squares / (values.length - 1) / values.length)
}
