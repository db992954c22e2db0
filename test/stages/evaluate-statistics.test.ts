import test from 'ava'
import fc from 'fast-check'
import { estimate, pairedDifference } from '../../lib/stages/evaluate/statistics.js'
import { mcNemar, passAtK } from '../../lib/stages/evaluate.js'

const resampling = { resamples: 4000, confidence: 0.95, seed: 1 }

test('pass@k is the share of all choices of k samples that hold a right one', t => {
  const choices = (of: boolean[], k: number): boolean[][] =>
    k === 0 ? [[]] : of.flatMap((one, i) => choices(of.slice(i + 1), k - 1).map(rest => [one, ...rest]))
  for (let n = 1; n <= 7; n++)
    for (let right = 0; right <= n; right++)
      for (let k = 1; k <= n; k++) {
        const all = choices(
          Array.from({ length: n }, (_, i) => i < right),
          k,
        )
        const share = all.filter(choice => choice.includes(true)).length / all.length
        t.true(Math.abs(passAtK(n, right, k) - share) < 1e-12, `${n} ${right} ${k}`)
      }
  // C(195, 100) / C(200, 100) overflows nothing: 200 choose 100 is about 1e59, its product form is not.
  t.true(
    Math.abs(passAtK(200, 5, 100) - (1 - (100 * 99 * 98 * 97 * 96) / (200 * 199 * 198 * 197 * 196))) < 1e-12,
  )
})

test('the standard error is that of a mean, over questions', t => {
  const { mean, standardError } = estimate([0, 0, 1, 1, 1, 0.5], resampling)
  t.is(mean, 3.5 / 6)
  // numpy: np.std([0, 0, 1, 1, 1, .5], ddof=1) / np.sqrt(6)
  t.true(Math.abs(standardError - 0.20069324297987157) < 1e-12)
})

test('the bootstrap interval of many questions is that of the normal distribution', t => {
  const values = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 1 : 0))
  const { low, high, standardError } = estimate(values, resampling)
  // 4,000 resamples: a quantile at 2.5 % is known to about 0.06 standard errors; five times that.
  t.true(Math.abs(low - (0.25 - 1.96 * standardError)) < 0.3 * standardError)
  t.true(Math.abs(high - (0.25 + 1.96 * standardError)) < 0.3 * standardError)
})

test('the same seed gives the same interval, another one another', t => {
  const values = Array.from({ length: 50 }, (_, i) => (i * 37) % 11)
  t.deepEqual(estimate(values, resampling), estimate(values, resampling))
  t.notDeepEqual(estimate(values, resampling), estimate(values, { ...resampling, seed: 2 }))
})

test('a paired difference is that of the means, with a smaller error where the questions are hard for both', t => {
  const first = Array.from({ length: 100 }, (_, i) => (i < 60 ? 1 : 0))
  const second = Array.from({ length: 100 }, (_, i) => (i < 50 ? 1 : 0))
  const difference = pairedDifference(first, second, resampling)
  t.true(Math.abs(difference.mean - 0.1) < 1e-12)
  t.true(difference.standardError < estimate(first, resampling).standardError)
  t.true(difference.low > 0 && difference.pValue < 0.01)
  const same = pairedDifference(first, first, resampling)
  t.like(same, { mean: 0, low: 0, high: 0, pValue: 1 })
})

test('McNemar: exact two-sided p-values', t => {
  const questions = (onlyFirst: number, onlySecond: number) => {
    const first = [...Array(onlyFirst).fill(true), ...Array(onlySecond).fill(false), true, false]
    const second = [...Array(onlyFirst).fill(false), ...Array(onlySecond).fill(true), true, false]
    return mcNemar(first, second)
  }
  // Python: 2 * sum(comb(n, i) for i in range(min + 1)) / 2**n
  for (const [a, b, p] of [
    [1, 9, 0.021484375],
    [0, 5, 0.0625],
    [12, 30, 0.007915897334896727],
    [400, 500, 0.0009564441369189461],
    [0, 0, 1],
    [7, 7, 1],
  ] as const) {
    t.like(questions(a, b), { onlyFirst: a, onlySecond: b })
    t.true(
      Math.abs(questions(a, b).pValue - p) < 1e-6 * Math.max(p, 1e-3),
      `${a} ${b}: ${questions(a, b).pValue}`,
    )
    t.is(questions(a, b).pValue, questions(b, a).pValue)
  }
})

test('estimates lie within their intervals', t => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0, 0.25, 0.5, 1), { minLength: 5, maxLength: 60 }), values => {
      const { mean, low, high } = estimate(values, { ...resampling, resamples: 200 })
      t.true(low <= mean + 1e-9 && mean <= high + 1e-9 && low >= 0 && high <= 1)
    }),
    { seed: 1 },
  )
})
