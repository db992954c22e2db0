import test from 'ava'
import { composeReward, missingEndReward, teacherReward } from '../../lib/rewards/index.js'

const first = { solutionLogProbs: [-1, -2], teacherLogProbs: [-1, -1], explanationLogProbs: [-2, -3] }
const second = { solutionLogProbs: [-4], teacherLogProbs: [-1, -1], explanationLogProbs: [-1, -1] }
const one = teacherReward(first)
const other = teacherReward(second)

test('one student and no terms: the teacher reward', t => {
  const { reward, parts } = composeReward([{ ...first, weight: 5 }], [], {})
  t.is(reward, one.reward)
  t.deepEqual(parts, one.parts)
})

test('several students: the mean by their weights, whatever the weights add up to', t => {
  for (const scale of [0.25, 1, 8]) {
    const students = [
      { ...first, weight: 3 * scale },
      { ...second, weight: scale },
    ]
    const { reward, parts } = composeReward(students, [], {})
    t.is(reward, 0.75 * one.reward + 0.25 * other.reward)
    t.is(parts.understanding, 0.75 * one.parts.understanding + 0.25 * other.parts.understanding)
    t.is(parts.naturalness, 0.75 * one.parts.naturalness + 0.25 * other.parts.naturalness)
  }
})

test('terms are added by their weights and shown by their names', t => {
  const terms = [
    { name: 'length', weight: -0.5, value: 3 },
    { name: 'boxed', weight: 2, value: 1 },
  ]
  const { reward, parts } = composeReward([{ ...first, weight: 1 }], terms, {})
  t.is(reward, one.reward - 1.5 + 2)
  t.is(parts.length, 3)
  t.is(parts.boxed, 1)
})

test('a term that is NaN makes the whole reward NaN, so that the completion is left out of its group', t => {
  const { reward } = composeReward(
    [{ ...first, weight: 1 }],
    [{ name: 'x', weight: 1, value: Number.NaN }],
    {},
  )
  t.true(Number.isNaN(reward))
})

test('an explanation that was not ended gets the penalty, and neither students nor terms are asked', t => {
  t.deepEqual(missingEndReward({ missingEnd: -1 }), { reward: -1, parts: {} })
})
