import test from 'ava'
import { binsOf, histogramPage, histogramSvg, histogramText } from '../../lib/report/index.js'

test('bins of equal width hold every value once', t => {
  t.deepEqual(binsOf([0, 1, 2, 3, 4], 2), [
    { low: 0, high: 2, count: 2 },
    { low: 2, high: 4, count: 3 },
  ])
  const values = Array.from({ length: 1000 }, (_, i) => Math.sin(i))
  const bins = binsOf(values, 7)
  for (const [i, { low, high, count }] of bins.entries()) {
    const last = i === bins.length - 1
    t.is(count, values.filter(value => value >= low && (value < high || (last && value <= high))).length)
  }
  t.is(bins[6]!.high, Math.max(...values))
})

test('equal values are one bin, and no values none', t => {
  t.deepEqual(binsOf([3, 3], 5), [{ low: 3, high: 3, count: 2 }])
  t.deepEqual(binsOf([], 5), [])
  t.is(histogramText([]), '')
})

test('in letters: the greatest values first, bars in proportion', t => {
  t.is(
    histogramText([0, 1, 1.5, 2], { bins: 2, width: 6 }),
    '    1 … 2  ━━━━━━ 3\n    0 … 1  ━━     1\n'.replaceAll(/^ {4}/gm, ''),
  )
})

test('drawn: one rectangle a bin, and nothing that a page could run', t => {
  const values = [0, 0, 1, 5]
  const svg = histogramSvg(values, { title: 'T', label: 'reward' })
  t.is([...svg.matchAll(/<rect/g)].length, binsOf(values, 40).length)
  const page = histogramPage(values, { title: '<script>alert(1)</script>', label: 'reward' })
  t.false(page.includes('<script>'))
  t.regex(page, /4 rows/)
  for (const drawn of [
    histogramSvg([2, 2], { title: 'T', label: 'r' }),
    histogramSvg([], { title: 'T', label: 'r' }),
  ])
    t.true(drawn.startsWith('<svg'))
})
