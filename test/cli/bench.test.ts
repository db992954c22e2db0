/** `rlt bench` as a whole, in tiny sizes: what it times, compares and verifies. Its figures are not looked at. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { compare } from '../../lib/bench/compare.js'
import { type BenchReport, parseReport } from '../../lib/bench/report.js'
import { leastSeconds, rates } from '../../lib/bench/roofline.js'
import { quartiles } from '../../lib/bench/statistics.js'
import { kernelOperations } from '../../lib/engine/benchmark.js'
import { rlt } from './run-rlt.js'

const kernelsOnce = ['bench', '--only', 'kernels', '--quick', '--threads', '1']

test.serial('every kernel is timed with each number of threads, and beside an earlier run', async t => {
  const first = await rlt(['bench', '--only', 'kernels', '--quick', '--threads', '1,2', '--json'])
  t.is(first.code, 0, first.stderr)
  const report = parseReport(first.stdout, 'stdout')
  t.deepEqual(
    report.peaks.map(({ threads }) => threads),
    [1, 2],
  )
  // On a GPU these two are what group-attention and its gradient take; elsewhere they are only held against fp64.
  const timed = kernelOperations().filter(({ name }) => !name.startsWith('flash-'))
  for (const { name } of timed)
    for (const threads of [1, 2])
      t.true(
        report.rows.some(row => row.name === name && row.threads === threads && row.shareOfPeak > 0),
        `${name} with ${threads}`,
      )
  t.true(report.rows.every(row => row.seconds.lower <= row.seconds.median && row.plain!.median > 0))

  const file = join(await mkdtemp(join(tmpdir(), 'rlt-bench-')), 'before.json')
  await writeFile(file, first.stdout)
  const second = await rlt([...kernelsOnce, '--compare', file])
  t.is(second.code, 0, second.stderr)
  t.regex(second.stdout, /than before/)
  t.regex(second.stdout, new RegExp(`${report.rows.length / 2} not run now`))
})

test.serial('--verify ends with 0 where every result is within tolerance', async t => {
  const { code, stdout, stderr } = await rlt(['bench', '--verify', '--quick', '--device', 'cpu', '--json'])
  t.is(code, 0, stderr)
  const { passed, outputs } = JSON.parse(stdout)
  t.true(passed)
  const seen = (key: string) => new Set(outputs.map((output: Record<string, string>) => output[key]))
  t.is(seen('name').size, kernelOperations().length)
  t.deepEqual([...seen('dtype')].sort(), ['bfloat16', 'float32'])
})

const misuse: [string, string[], number, RegExp][] = [
  ['threads that are none', ['--threads', '1,x'], 2, /--threads: expected whole numbers/],
  ['no threads', ['--threads', '0'], 2, /--threads: expected whole numbers/],
  [
    'an earlier run that is not there',
    ['--compare', '/nowhere.json'],
    2,
    /--compare: \/nowhere\.json cannot/,
  ],
  ['verifying a part', ['--verify', '--only', 'kernels'], 2, /mutually exclusive/],
]
for (const [name, args, expected, message] of misuse)
  test.serial(`misuse says what to do: ${name}`, async t => {
    const { code, stderr } = await rlt(['bench', ...args])
    t.is(code, expected)
    t.regex(stderr, message)
  })

test('what is no report is refused with its place', async t => {
  t.throws(() => parseReport('nothing', 'f.json'), { code: 'ERR_DATA', message: /f\.json.*got no JSON/ })
  t.throws(() => parseReport('{"version":1}', 'f.json'), { code: 'ERR_DATA', message: /f\.json.*date/ })
  const packageJson = await readFile('package.json', 'utf8')
  t.throws(() => parseReport(packageJson, 'package.json'), { code: 'ERR_DATA' })
})

const reportOf = (median: number, spread: number, plain: number): BenchReport => ({
  ...{ version: 1, date: '', quick: false, model: '', peaks: [] },
  machine: { cpu: 'c', cores: 2, gpus: 0, vectorInstructionSet: 'avx2', torch: '2', node: '20' },
  rows: [
    {
      ...{ section: 'kernels', name: 'linear', sizes: { tokens: 1 }, dtype: 'float32', device: 'cpu' },
      ...{ threads: 1, repetitions: 9, speedup: 1, operationsPerSecond: 1, bytesPerSecond: 1 },
      ...{ shareOfPeak: 1, bound: 'memory' },
      seconds: { median, lower: median * (1 - spread), upper: median * (1 + spread) },
      plain: { median: plain, lower: plain, upper: plain },
    },
  ],
})

test('a row is slower only beyond what repetitions scatter and the machine drifts', t => {
  const verdict = (now: BenchReport, before: BenchReport) => compare(now, before).rows[0]!.verdict
  const before = reportOf(1, 0.01, 1)
  t.is(verdict(reportOf(1.2, 0.01, 1), before), 'slower')
  t.is(verdict(reportOf(0.8, 0.01, 1), before), 'faster')
  t.is(verdict(reportOf(1.02, 0.01, 1), before), 'same')
  t.is(verdict(reportOf(1.2, 0.2, 1), before), 'same', 'it scatters by as much')
  t.is(verdict(reportOf(1.2, 0.01, 1.2), before), 'same', 'LibTorch got slower too')
  t.is(compare(reportOf(2, 0, 1), reportOf(1, 0, 1)).rows[0]!.ratio, 0.5)
  const other = reportOf(1, 0, 1)
  other.rows[0]!.threads = 4
  other.machine.cpu = 'd'
  const { rows, missing, added, differences } = compare(other, before)
  t.deepEqual([rows.length, missing.length, added.length], [0, 1, 1])
  t.deepEqual(differences, ['cpu: c then, d now'])
})

test('the roofline takes what bounds each part', t => {
  const peak = { operations: 100, bytes: 10 }
  const parts = [
    { operations: 200, bytes: 1 }, // 2 s by operations
    { operations: 1, bytes: 30 }, // 3 s by bytes
  ]
  t.is(leastSeconds(parts, peak), 5)
  t.like(rates(parts, 10, peak), {
    operationsPerSecond: 20.1,
    bytesPerSecond: 3.1,
    shareOfPeak: 0.5,
    bound: 'memory',
  })
  t.deepEqual(quartiles([4, 1, 3, 2, 5]), { median: 3, lower: 2, upper: 4 })
  t.deepEqual(quartiles([1, 2]), { median: 1.5, lower: 1.25, upper: 1.75 })
})
