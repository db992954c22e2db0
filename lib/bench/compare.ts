/** This run beside an earlier one. */
import { type BenchReport, type BenchRow, keyOf } from './report.js'
import { noiseOf } from './statistics.js'

export interface Comparison {
  key: string
  /** Earlier median by this one: above 1 is faster now. */
  ratio: number
  /**
   * By how much, as a share, two such runs may differ though nothing changed: what each run's repetitions scatter, and
   * what the plain statement, which is LibTorch's, got faster or slower in between.
   */
  noise: number
  verdict: 'faster' | 'slower' | 'same'
}

export interface Compared {
  rows: Comparison[]
  /** Keys of rows that only one of the two has. */
  missing: string[]
  added: string[]
  /** What differs between the machines, in words: their figures then say little of the program. */
  differences: string[]
}

/** Less than this is not told apart from nothing, however little repetitions scatter. */
const leastNoise = 0.03

export function compare(now: BenchReport, before: BenchReport): Compared {
  const earlier = new Map(before.rows.map(row => [keyOf(row), row]))
  const keys = new Set(now.rows.map(keyOf))
  return {
    rows: now.rows.flatMap(row => {
      const old = earlier.get(keyOf(row))
      return old ? [compareRow(row, old)] : []
    }),
    missing: [...earlier.keys()].filter(key => !keys.has(key)),
    added: [...keys].filter(key => !earlier.has(key)),
    differences: (['cpu', 'cores', 'gpus', 'vectorInstructionSet', 'torch', 'node'] as const)
      .filter(name => now.machine[name] !== before.machine[name])
      .map(name => `${name}: ${before.machine[name]} then, ${now.machine[name]} now`),
  }
}

function compareRow(now: BenchRow, before: BenchRow): Comparison {
  const ratio = before.seconds.median / now.seconds.median
  const drift = now.plain && before.plain ? Math.abs(Math.log(before.plain.median / now.plain.median)) : 0
  const scatter = Math.hypot(noiseOf(now.seconds), noiseOf(before.seconds))
  const noise = Math.max(leastNoise, 2 * scatter) + drift
  const verdict = Math.abs(Math.log(ratio)) <= noise ? 'same' : ratio > 1 ? 'faster' : 'slower'
  return { key: keyOf(now), ratio, noise, verdict }
}
