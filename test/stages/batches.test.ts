import test from 'ava'
import { distillKind, parseConfig } from '../../lib/config/index.js'
import type { Example } from '../../lib/data/index.js'
import { Batches, lossTokensOf, tokensOf } from '../../lib/stages/sft/batches.js'
import { tokenMean } from '../../lib/stages/sft/update.js'

/** Examples whose prompt is their place and whose length is as given. */
const examples = (...lengths: number[]): Example[] =>
  lengths.map((length, place) => ({ prompt: Int32Array.of(place), completion: new Int32Array(length - 1) }))

function batches(rows: Example[], training: object, shuffle = false) {
  const config = parseConfig(distillKind, {
    student: { model: 'm' },
    data: { train: { path: 'd.jsonl' }, shuffle },
    training,
  })
  const made = new Batches(rows, config)
  return Array.from({ length: made.steps }, (_, i) => made.ofStep(i + 1))
}

const places = (list: ReturnType<typeof batches>) =>
  list.map(batch => batch.examples.map(({ prompt }) => prompt[0]!))

const five = examples(4, 4, 4, 4, 4)

test('an epoch by rows: the last step has what is left', t => {
  t.deepEqual(places(batches(five, { rowsPerStep: 2 })), [[0, 1], [2, 3], [4]])
})

test('steps reach over the end of an epoch', t => {
  const all = batches(five, { rowsPerStep: 2, epochs: 2 })
  t.deepEqual(places(all), [
    [0, 1],
    [2, 3],
    [4, 0],
    [1, 2],
    [3, 4],
  ])
  t.deepEqual(
    all.map(({ epoch }) => epoch),
    [0.4, 0.8, 1.2, 1.6, 2],
  )
})

test('a part of an epoch', t => {
  t.deepEqual(places(batches(five, { rowsPerStep: 2, epochs: 0.5 })), [[0, 1], [2]])
  t.deepEqual(places(batches(five, { rowsPerStep: 2, epochs: 0.01 })), [[0]])
})

test('so many steps, however many rows there are', t => {
  t.deepEqual(places(batches(five, { rowsPerStep: 3, steps: 3 })), [
    [0, 1, 2],
    [3, 4, 0],
    [1, 2, 3],
  ])
})

test('by tokens: as many rows as fit, and one where none does', t => {
  const rows = examples(3, 4, 9, 2, 2, 2, 2)
  const all = batches(rows, { tokensPerStep: 7 })
  t.deepEqual(places(all), [[0, 1], [2], [3, 4, 5], [6]])
  t.deepEqual(
    all.map(batch => tokensOf(batch.examples)),
    [7, 9, 6, 2],
  )
  // By steps, rows of the next epoch fill up.
  t.deepEqual(places(batches(rows, { tokensPerStep: 7, steps: 5 })).slice(3), [[6, 0], [1]])
})

test('shuffled: every row once in an epoch, in another order each', t => {
  const order = places(batches(examples(...new Array(20).fill(4)), { rowsPerStep: 20, epochs: 2 }, true))
  const sorted = Array.from({ length: 20 }, (_, i) => i)
  for (const epoch of order)
    t.deepEqual(
      epoch.toSorted((a, b) => a - b),
      sorted,
    )
  t.notDeepEqual(order[0], order[1])
  t.notDeepEqual(order[0], sorted)
})

test('every token of a step counts the same', t => {
  const rows = examples(3, 7)
  t.is(lossTokensOf(rows), 8)
  t.deepEqual(tokenMean(rows), [[new Float32Array(2).fill(1 / 8)], [new Float32Array(6).fill(1 / 8)]])
})
