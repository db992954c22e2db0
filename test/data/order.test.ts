import test from 'ava'
import fc from 'fast-check'
import { DataOrder, hashCounters, permutation } from '../../lib/data/index.js'

const shuffled = (rows: number, seed = 1) => new DataOrder(rows, { seed, shuffle: true })
const sorted = (values: Iterable<number>) => [...values].sort((a, b) => a - b)

test('each epoch takes every row once, in an order of its own', t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(0xffffffff), (rows, seed) => {
      const order = shuffled(rows, seed)
      const all = Array.from({ length: rows }, (_, i) => i)
      const epochs = [0, 1, 2].map(epoch => order.take(epoch * rows, rows))
      t.true(epochs.every(epoch => String(sorted(epoch)) === String(all)))
      if (rows > 20) t.notDeepEqual(epochs[0], epochs[1])
    }),
  )
})

test('an order gone on with is the one that was left, wherever that was', t => {
  const whole = shuffled(7).take(0, 50)
  for (let start = 0; start < 50; start += 3)
    t.deepEqual(shuffled(7).take(start, 50 - start), whole.slice(start))
})

test('a batch may reach over the end of an epoch, or be larger than one', t => {
  t.deepEqual([...shuffled(3).take(2, 8)], shuffled(3).take(0, 10).slice(2))
})

test('another seed, another order', t => {
  t.notDeepEqual(shuffled(50, 1).take(0, 50), shuffled(50, 2).take(0, 50))
})

test('without shuffling, rows come as they stand, again and again', t => {
  t.deepEqual(new DataOrder(3, { seed: 1, shuffle: false }).take(2, 5), [2, 0, 1, 2, 0])
})

test('every place is as likely for every row', t => {
  const rows = 6
  const counts = Array.from({ length: rows }, () => new Array<number>(rows).fill(0))
  const draws = 6000
  for (let seed = 0; seed < draws; seed++)
    permutation(rows, seed).forEach((row, place) => {
      counts[place]![row]!++
    })
  // Binomial: 1000 expected, standard deviation 29; five of them, so that 36 counts fail by chance in 1 of 50,000 runs.
  for (const count of counts.flat()) t.true(Math.abs(count - draws / rows) < 5 * 29, `${count}`)
})

test('seeds of neighbouring places have nothing to do with each other', t => {
  const seeds = new Set<bigint>()
  let flipped = 0
  for (let step = 0; step < 1000; step++) {
    const here = hashCounters(7, 2, step)
    seeds.add(here)
    flipped += (here ^ hashCounters(7, 2, step + 1)).toString(2).replaceAll('0', '').length
  }
  t.is(seeds.size, 1000)
  // 64,000 coins: 32,000 expected, standard deviation 126.
  t.true(Math.abs(flipped - 32_000) < 5 * 126, `${flipped}`)
})

test('the order of a seed is the same on every machine and in every version', t => {
  t.deepEqual(shuffled(8, 42).take(0, 16), expected)
})

/** Changing these changes every run that is to be repeated or resumed. */
const expected = [5, 0, 4, 3, 7, 1, 6, 2, 2, 7, 4, 1, 6, 0, 3, 5]
