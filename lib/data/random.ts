/**
 * Randomness by counters: each random thing is a function of the run's seed and of what it is for, never of what was
 * drawn before it. So a run that is resumed draws what an uninterrupted one would have.
 */

/** What a stream is for; the numbers are part of what makes a run repeatable. */
export const purposes = {
  order: 1,
  sample: 2,
  heldOut: 3,
  minibatches: 4,
  replacement: 5,
  countdown: 6,
  evaluation: 7,
  bootstrap: 8,
} as const

/**
 * 64 random bits for a place in a run, by the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over the counters
 * one after the other.
 */
export function hashCounters(seed: number, ...counters: readonly number[]): bigint {
  let state = mix(BigInt(seed))
  for (const counter of counters) state = mix(state ^ mix(BigInt(counter) + goldenGamma))
  return state
}

/** A permutation of 0 … n - 1 drawn from the seed and the counters (Fisher and Yates). */
export function permutation(n: number, seed: number, ...counters: readonly number[]): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    // The bias of a remainder of 64 bits is below 2^-32 for any n that fits in memory.
    const j = Number(hashCounters(seed, ...counters, i) % BigInt(i + 1))
    const swapped = order[i]!
    order[i] = order[j]!
    order[j] = swapped
  }
  return order
}

const goldenGamma = 0x9e3779b97f4a7c15n

function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value + goldenGamma)
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n)
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn)
  return z ^ (z >> 31n)
}
