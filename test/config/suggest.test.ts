import test from 'ava'
import fc from 'fast-check'
import { editDistance, nearest } from '../../lib/config/suggest.js'

test('known distances', t => {
  t.is(editDistance('', 'abc'), 3)
  t.is(editDistance('kitten', 'sitting'), 3)
  t.is(editDistance('temprature', 'temperature'), 1)
  t.is(editDistance('sampilng', 'sampling'), 1) // a swap of neighbours is one slip
})

test('a distance is symmetric, zero only between equals, and at most the longer length', t => {
  const word = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b)
      t.is(distance, editDistance(b, a))
      t.is(distance === 0, a === b)
      t.true(distance <= Math.max(a.length, b.length) && distance >= Math.abs(a.length - b.length))
    }),
  )
})

test('nothing is suggested where nothing is near', t => {
  t.is(nearest('banana', ['steps', 'seed']), undefined)
  t.is(nearest('x', ['steps', 'seed']), undefined)
})

test('the nearest is suggested', t => {
  t.is(nearest('stpes', ['seed', 'steps', 'stop']), 'steps')
  t.is(nearest('max-grad-norm', ['maxGradNorm']), 'maxGradNorm')
})
