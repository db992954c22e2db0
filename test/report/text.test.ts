import test from 'ava'
import {
  bar,
  formatBytes,
  formatNumber,
  formatSeconds,
  runningMean,
  sparkline,
} from '../../lib/report/text.js'

test('numbers have four significant digits', t => {
  const cases: [number | null, string][] = [
    [0, '0'],
    [-1.23456, '-1.235'],
    [12, '12'],
    [1234.5, '1235'],
    [0.00012, '1.2e-4'],
    [2.5e9, '2.5e+9'],
    [Number.NaN, '–'],
    [null, '–'],
  ]
  for (const [value, text] of cases) t.is(formatNumber(value), text)
})

test('seconds grow into minutes and hours without ever showing 60', t => {
  const cases: [number, string][] = [
    [0.04, '0.0 s'],
    [9.94, '9.9 s'],
    [9.96, '10 s'],
    [59.4, '59 s'],
    [59.6, '1:00'],
    [3599.6, '1:00:00'],
    [7325, '2:02:05'],
  ]
  for (const [value, text] of cases) t.is(formatSeconds(value), text)
})

test('bytes are in binary units', t => {
  t.is(formatBytes(512), '512 bytes')
  t.is(formatBytes(1536), '1.5 KiB')
  t.is(formatBytes(3 * 2 ** 30), '3.0 GiB')
  t.is(formatBytes(200 * 2 ** 20), '200 MiB')
})

test('a sparkline runs from the least to the greatest of the last values', t => {
  t.is(sparkline([0, 7], 10), '▁█')
  t.is(sparkline([100, 0, 1, 2, 3, 4, 5, 6, 7], 8), '▁▂▃▄▅▆▇█')
  t.is(sparkline([3, 3], 10), '▄▄')
  t.is(sparkline([], 10), '')
})

test('a bar is full at 1 and never longer', t => {
  t.is(bar(0.5, 4), '━━──')
  t.is(bar(7, 4), '━━━━')
  t.is(bar(-1, 4), '────')
})

test('a running mean leaves a straight line as it is', t => {
  const line = Array.from({ length: 30 }, (_, i) => 2 * i - 5)
  const mean = runningMean(line, 4)
  for (const [i, value] of mean.entries()) t.true(Math.abs(value - line[i]!) < 1e-12) // sums of small integers
})
