import test from 'ava'
import { type LearningRateCourse, learningRateAt } from '../../lib/stages/shared/learningRate.js'

const course = (changes: Partial<LearningRateCourse>, steps: number) => {
  const options = { learningRate: 1, schedule: 'constant', warmupSteps: 0, steps, ...changes } as const
  return Array.from({ length: steps }, (_, i) => learningRateAt(i + 1, options))
}

const near = (actual: number[], expected: number[]) =>
  actual.length === expected.length && actual.every((value, i) => Math.abs(value - expected[i]!) < 1e-12)

test('constant: the rate itself at every step', t => {
  t.deepEqual(course({}, 3), [1, 1, 1])
})

test('warm-up rises in equal parts, and its last step has the full rate', t => {
  t.deepEqual(course({ warmupSteps: 4 }, 6), [0.25, 0.5, 0.75, 1, 1, 1])
})

test('linear: from the full rate down to what would be 0 after the last step', t => {
  t.true(near(course({ schedule: 'linear' }, 4), [1, 0.75, 0.5, 0.25]))
  t.true(near(course({ schedule: 'linear', warmupSteps: 2 }, 5), [0.5, 1, 0.75, 0.5, 0.25]))
})

test('cosine: half a period', t => {
  t.true(near(course({ schedule: 'cosine' }, 2), [1, 0.5]))
  t.true(near(course({ schedule: 'cosine', warmupSteps: 1 }, 3), [1, 0.75, 0.25]))
})

test('a warm-up as long as the run', t => {
  for (const schedule of ['constant', 'linear', 'cosine'] as const)
    t.deepEqual(course({ schedule, warmupSteps: 2 }, 2), [0.5, 1])
})
