import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { DataError } from '../../lib/errors.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { type TeacherRewardOptions, teacherReward, teacherRewardDefaults } from '../../lib/rewards/index.js'

/** Written by scripts/fixtures/rewards.py. A NaN is null there. */
interface Case {
  name: string
  ended: boolean
  solutionLogProbs: (number | null)[]
  teacherLogProbs: (number | null)[]
  explanationLogProbs: (number | null)[]
  options: TeacherRewardOptions
  reward: number | null
  parts: { understanding: number | null; naturalness: number | null }
}

const file = join(packageRoot(), 'test', 'fixtures', 'rewards', 'teacher-reward.json')
const cases: Case[] = JSON.parse(await readFile(file, 'utf8'))
const numbers = (values: readonly (number | null)[]) =>
  Float32Array.from(values, value => value ?? Number.NaN)

/** The same arithmetic in float64 on both sides: only the order of summation differs. */
const tolerance = 1e-6

for (const { name, ended, options, ...expected } of cases)
  test(`torch computes the same reward: ${name}`, t => {
    const { reward, parts } = teacherReward(
      {
        solutionLogProbs: numbers(expected.solutionLogProbs),
        teacherLogProbs: numbers(expected.teacherLogProbs),
        explanationLogProbs: numbers(expected.explanationLogProbs),
        ended,
      },
      options,
    )
    near(t, reward, expected.reward)
    near(t, parts.understanding, expected.parts.understanding)
    near(t, parts.naturalness, expected.parts.naturalness)
  })

function near(t: { true(value: boolean, message?: string): void }, got: number, expected: number | null) {
  const same = expected === null ? Number.isNaN(got) : Math.abs(got - expected) <= tolerance
  t.true(same, `got ${got}, torch ${expected}`)
}

test('by default it is mean(s) + 0.01 min(s) - 3 (mean(KL) + 0.03 max(KL))', t => {
  const { reward, parts } = teacherReward({
    solutionLogProbs: [-1, -3],
    teacherLogProbs: [-1, -1, -1],
    explanationLogProbs: [-2, -1, -3],
  })
  near(t, parts.understanding, -2 + 0.01 * -3)
  near(t, parts.naturalness, 1 + 0.03 * 2)
  near(t, reward, -2.03 - 3 * 1.06)
})

test('an explanation without an end gets the penalty alone, whatever its log-probabilities', t => {
  const worthless = { solutionLogProbs: [Number.NaN], ended: false }
  t.is(teacherReward(worthless).reward, -1)
  t.is(teacherReward(worthless, { missingEnd: -4 }).reward, -4)
})

test('log-probabilities of different tokens are refused', t => {
  const input = { solutionLogProbs: [-1], teacherLogProbs: [-1, -1], explanationLogProbs: [-1] }
  const error = t.throws(() => teacherReward(input), { instanceOf: DataError })
  t.regex(error.message, /2 .* 1 /)
})

test("without naturalness the explanation's log-probabilities are not needed", t => {
  const naturalness = { ...teacherRewardDefaults.naturalness, coefficient: 0 }
  near(t, teacherReward({ solutionLogProbs: [-2] }, { naturalness }).reward, -2.02)
})

const logProb = fc.float({ min: -30, max: 0, noNaN: true })
const someLogProbs = fc.array(logProb, { minLength: 1, maxLength: 40 })
const pairs = fc.array(fc.tuple(logProb, logProb), { minLength: 1, maxLength: 40 })
const split = (both: readonly (readonly [number, number])[]) => ({
  teacherLogProbs: both.map(([p]) => p),
  explanationLogProbs: both.map(([, q]) => q),
})

test('the order of tokens does not matter', t => {
  const shuffled = <T>(values: fc.Arbitrary<T[]>) =>
    values.chain(list => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })))
  fc.assert(
    fc.property(shuffled(someLogProbs), shuffled(pairs), ([solution, solution2], [both, both2]) => {
      const { reward } = teacherReward({ solutionLogProbs: solution, ...split(both) })
      const other = teacherReward({ solutionLogProbs: solution2, ...split(both2) })
      return Math.abs(reward - other.reward) < 1e-9
    }),
  )
  t.pass()
})

test('what both models find likelier by the same factor is as natural as before', t => {
  fc.assert(
    fc.property(someLogProbs, pairs, fc.float({ min: -5, max: 5, noNaN: true }), (solution, both, shift) => {
      const shifted = both.map(([p, q]) => [p + shift, q + shift] as const)
      const { reward } = teacherReward({ solutionLogProbs: solution, ...split(both) })
      const other = teacherReward({ solutionLogProbs: solution, ...split(shifted) })
      return Math.abs(reward - other.reward) < 1e-9
    }),
  )
  t.pass()
})

test('a solution that is likelier by the same factor at each token gains exactly mean + 0.01 min of it', t => {
  fc.assert(
    fc.property(someLogProbs, pairs, fc.float({ min: -5, max: 5, noNaN: true }), (solution, both, shift) => {
      const { reward } = teacherReward({ solutionLogProbs: solution, ...split(both) })
      const shifted = solution.map(logProb => logProb + shift)
      const other = teacherReward({ solutionLogProbs: shifted, ...split(both) })
      return Math.abs(other.reward - reward - 1.01 * shift) < 1e-9
    }),
  )
  t.pass()
})

test('k3 is never negative, and 0 only where the two policies agree', t => {
  const options = {
    naturalness: { coefficient: 1, min: 1, estimator: 'k3' },
    understanding: { coefficient: 0 },
  } as const
  fc.assert(
    fc.property(pairs, both => {
      const { naturalness } = teacherReward({ solutionLogProbs: [], ...split(both) }, options).parts
      // exp(-x) + x - 1 of tiny x is lost in the rounding of 1.
      return both.every(([p, q]) => Math.abs(p - q) > 1e-6) ? naturalness > 0 : naturalness > -1e-15
    }),
  )
  t.pass()
})
