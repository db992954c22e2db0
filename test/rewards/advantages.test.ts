import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { packageRoot } from '../../lib/packageRoot.js'
import { batchAdvantages, groupAdvantages, leaveOneOutAdvantages } from '../../lib/rewards/index.js'

/** Written by scripts/fixtures/rewards.py. */
interface Case {
  name: string
  rewards: number[]
  epsilon: number
  mean: number
  standardDeviation: number
  scaled: number[]
  unscaled: number[]
}

const file = join(packageRoot(), 'test', 'fixtures', 'rewards', 'advantages.json')
const cases: Case[] = JSON.parse(await readFile(file, 'utf8'))

/** Advantages go to the engine as float32, which rounds by 2^-24 of their size: below 8 (the root of 64), 5e-7. */
const tolerance = 1e-6

for (const { name, rewards, epsilon, mean, standardDeviation, scaled, unscaled } of cases)
  test(`torch computes the same advantages: ${name}`, t => {
    const group = groupAdvantages(rewards, { epsilon })
    t.true(Math.abs(group.mean - mean) < 1e-9)
    t.true(Math.abs(group.standardDeviation - standardDeviation) < 1e-9)
    t.true(largestDifference(group.advantages, scaled) < tolerance)
    t.true(largestDifference(groupAdvantages(rewards, { scale: false }).advantages, unscaled) < tolerance)
    t.false(group.zeroVariance)
    t.is(group.excluded, 0)
  })

function largestDifference(a: ArrayLike<number>, b: readonly number[]): number {
  return Math.max(...b.map((value, i) => Math.abs(value - a[i]!)))
}

test('equal rewards teach nothing: exactly 0, and the group is reported', t => {
  // The mean of three times 0.1 is not 0.1.
  const { advantages, zeroVariance } = groupAdvantages([0.1, 0.1, 0.1])
  t.deepEqual([...advantages], [0, 0, 0])
  t.true(zeroVariance)
})

test('a reward that is not finite is left out and does not touch the others', t => {
  const whole = groupAdvantages([-1, -2, -4])
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const { advantages, excluded } = groupAdvantages([-1, bad, -2, -4])
    t.deepEqual([...advantages], [whole.advantages[0]!, 0, whole.advantages[1]!, whole.advantages[2]!])
    t.is(excluded, 1)
  }
})

test('with fewer than two finite rewards there is nothing to compare', t => {
  for (const rewards of [[Number.NaN, Number.NaN], [Number.NaN, -1], [-1], []]) {
    const { advantages, zeroVariance } = groupAdvantages(rewards)
    t.true(advantages.every(advantage => advantage === 0))
    t.true(zeroVariance)
  }
})

const group = fc.array(fc.double({ min: -10, max: 1, noNaN: true }), { minLength: 2, maxLength: 64 })

test('advantages of a group add up to 0', t => {
  fc.assert(
    fc.property(group, rewards => {
      const sum = groupAdvantages(rewards).advantages.reduce((a, b) => a + b, 0)
      return Math.abs(sum) < 1e-4 // 64 values of at most 8, each rounded to float32
    }),
  )
  t.pass()
})

test('adding the same to all rewards changes no advantage', t => {
  fc.assert(
    fc.property(group, fc.integer({ min: -100, max: 100 }), (rewards, shift) => {
      const shifted = groupAdvantages(rewards.map(reward => reward + shift)).advantages
      // A reward plus 100 is rounded by 1e-14, and 1e-4 is the least that it is divided by.
      return largestDifference(shifted, [...groupAdvantages(rewards).advantages]) < 1e-5
    }),
  )
  t.pass()
})

test('a completion is judged by its reward, not by its place in the group', t => {
  fc.assert(
    fc.property(group, rewards => {
      const reversed = groupAdvantages(rewards.toReversed()).advantages.toReversed()
      return largestDifference(reversed, [...groupAdvantages(rewards).advantages]) < 1e-5
    }),
  )
  t.pass()
})

test('no advantage is larger than the root of the number of completions, however small the deviation', t => {
  fc.assert(
    fc.property(group, fc.double({ min: 1e-12, max: 1, noNaN: true }), (rewards, scale) => {
      const { advantages } = groupAdvantages(rewards.map(reward => reward * scale))
      return advantages.every(advantage => Math.abs(advantage) <= Math.sqrt(rewards.length))
    }),
  )
  t.pass()
})

test('a leave-one-out advantage is the reward less the mean of the others', t => {
  const { advantages } = leaveOneOutAdvantages([3, 0, Number.NaN, 1.5])
  t.deepEqual([...advantages], [3 - 0.75, 0 - 2.25, 0, 1.5 - 1.5])
  t.deepEqual([...leaveOneOutAdvantages([2]).advantages], [0])
  t.deepEqual([...leaveOneOutAdvantages([0.1, 0.1, 0.1]).advantages], [0, 0, 0])
})

test('advantages of a batch are compared over its tokens: longer completions count more', t => {
  const [long, none, short, bad] = batchAdvantages([[1, 1, 1], [], [-3], [Number.NaN, 1]], { epsilon: 1e-9 })
  // The mean of 1, 1, 1 and -3 is 0, the deviation of the sample is 2.
  t.deepEqual([...long!], [0.5, 0.5, 0.5])
  t.deepEqual([...none!], [])
  t.deepEqual([...short!], [-1.5])
  t.deepEqual([...bad!], [0, 0])
  t.deepEqual(batchAdvantages([[0.1], [0.1, 0.1]]).map(String), ['0', '0,0'])
  t.deepEqual(batchAdvantages([[4], [1, 1]], { scale: false }).map(String), ['2', '-1,-1'])
})
