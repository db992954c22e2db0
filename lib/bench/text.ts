/** Reports as tables for a terminal. */
import type { Compared } from './compare.js'
import { tolerableShare } from './disturbance.js'
import { type BenchReport, type BenchRow, describeSizes, keyOf, sections } from './report.js'
import { peakOf } from './run.js'
import type { VerifiedOutput } from './verification.js'

const titles = {
  kernels: 'Kernels, beside the same in plain LibTorch operations',
  stages: 'Stages',
  step: 'A whole step',
}

export function describeReport(report: BenchReport, compared?: Compared): string {
  const { machine, peaks, rows, model } = report
  const { cpu, cores, vectorInstructionSet, torch } = machine
  const lines = [`${cpu}, ${cores} cores, ${vectorInstructionSet}; LibTorch ${torch}${model && `; ${model}`}`]
  for (const peak of peaks) {
    const { operations, bytes } = peakOf(peak)
    lines.push(
      `Peak of ${threadsText(peak.threads)}: ${giga(operations)} GFLOP/s in matrix products, ${giga(bytes)} GB/s from memory`,
    )
  }
  for (const section of sections) {
    const own = rows.filter(row => row.section === section)
    if (own.length > 0) lines.push('', titles[section], tableOf(own, section === 'kernels', compared))
  }
  lines.push('', ...notesOf(report, compared))
  return `${lines.join('\n')}\n`
}

function tableOf(rows: readonly BenchRow[], kernels: boolean, compared: Compared | undefined): string {
  const ratios = new Map(compared?.rows.map(row => [row.key, row]))
  const columns: [string, (row: BenchRow) => string][] = [
    ['name', row => row.name],
    ['sizes', row => describeSizes(row.sizes)],
    ['type', row => row.dtype],
    ['threads', row => String(row.threads)],
    ['time', row => `${duration(row.seconds.median)}${disturbed(row) ? ' !' : ''}`],
    ['quartiles', row => `${duration(row.seconds.lower)} – ${duration(row.seconds.upper)}`],
    ...(kernels
      ? ([
          ['plain', row => duration(row.plain!.median)],
          ['faster', row => `${row.speedup!.toFixed(2)} x`],
        ] satisfies [string, (row: BenchRow) => string][])
      : ([
          ['tokens/s', row => row.tokensPerSecond!.toFixed(0)],
          ['keys and values', row => cacheText(row)],
        ] satisfies [string, (row: BenchRow) => string][])),
    ['GFLOP/s', row => giga(row.operationsPerSecond)],
    ['GB/s', row => giga(row.bytesPerSecond)],
    ['of peak', row => `${(100 * row.shareOfPeak).toFixed(0)} % ${row.bound}`],
  ]
  if (compared)
    columns.push([
      'than before',
      row => {
        const found = ratios.get(keyOf(row))
        if (!found) return 'new'
        return `${found.ratio.toFixed(2)} x ${found.verdict === 'same' ? '' : found.verdict.toUpperCase()}`
      },
    ])
  return table(
    columns.map(([name]) => name),
    rows.map(row => columns.map(([, cell]) => cell(row))),
  )
}

function notesOf({ rows, quick, otherCpuShare = 0 }: BenchReport, compared: Compared | undefined): string[] {
  const notes = [
    'Times are medians; GB/s count every input and output once. More than 100 % of peak: the data stayed in caches.',
  ]
  for (const { phases, threads } of rows)
    if (phases)
      notes.push(
        `The step with ${threadsText(threads)}: ${Object.entries(phases)
          .map(([phase, seconds]) => `${phase} ${duration(seconds)}`)
          .join(', ')}`,
      )
  const count = rows.filter(disturbed).length
  if (count > 0)
    notes.push(
      `! Other processes took more than ${100 * tolerableShare} % of the CPU during ${count} of ${rows.length} rows: do not trust those.`,
    )
  if (otherCpuShare > tolerableShare)
    notes.push(`Other processes took ${(100 * otherCpuShare).toFixed(0)} % of the CPU over the whole run.`)
  if (quick) notes.push('Tiny sizes (--quick): these figures mean nothing.')
  if (compared) notes.push(...describeComparison(compared))
  return notes
}

function describeComparison({ rows, missing, added, differences }: Compared): string[] {
  const verdicts = (wanted: string) => rows.filter(({ verdict }) => verdict === wanted)
  const slower = verdicts('slower')
  return [
    ...differences.map(text => `Another machine or environment: ${text}`),
    `Beside the earlier run: ${rows.length} rows compared, ${verdicts('faster').length} faster, ${slower.length} slower beyond the noise; ` +
      `${added.length} new, ${missing.length} not run now`,
    ...slower.map(
      ({ key, ratio, noise }) =>
        `slower: ${key}: ${ratio.toFixed(2)} x (noise ${(100 * noise).toFixed(0)} %)`,
    ),
  ]
}

export function describeVerification(outputs: readonly VerifiedOutput[]): string {
  const groups = new Map<string, VerifiedOutput[]>()
  for (const output of outputs) {
    const key = [output.name, output.dtype, output.side, output.output].join('|')
    groups.set(key, [...(groups.get(key) ?? []), output])
  }
  const most = (of: VerifiedOutput[], measure: 'typical' | 'worst') =>
    Math.max(...of.map(output => output[measure])).toExponential(1)
  const rows = [...groups.values()].map(of => {
    const { name, dtype, side, output, tolerance } = of[0]!
    return [
      ...[name, output, dtype, side === 'kernel' ? 'engine' : 'plain', String(of.length)],
      `${most(of, 'typical')} of ${tolerance.typical.toExponential(1)}`,
      `${most(of, 'worst')} of ${tolerance.worst.toExponential(1)}`,
      of.every(({ passed }) => passed) ? 'ok' : 'WRONG',
    ]
  })
  const wrong = outputs.filter(({ passed }) => !passed)
  const head = ['name', 'output', 'type', 'side', 'sizes', 'typical error', 'worst error', '']
  return `${[
    table(head, rows),
    '',
    'Errors are relative to the exact result (fp64; gradients by autograd): over the whole tensor, and of its worst element.',
    ...wrong.map(
      ({ name, sizes, dtype, side, output, typical, worst }) =>
        `wrong: ${name} (${describeSizes(sizes)}), ${dtype}, ${side}, ${output}: ${typical.toExponential(1)}, worst ${worst.toExponential(1)}`,
    ),
    wrong.length === 0
      ? `All ${outputs.length} results are within tolerance.`
      : `${wrong.length} of ${outputs.length} results are out of tolerance.`,
  ].join('\n')}\n`
}

export function describeRow({ name, sizes, threads, seconds, speedup }: BenchRow): string {
  const faster = speedup === undefined ? '' : `, ${speedup.toFixed(2)} x plain LibTorch`
  return `${name} (${describeSizes(sizes)}), ${threadsText(threads)}: ${duration(seconds.median)}${faster}`
}

export function disturbed({ otherCpuShare = 0 }: BenchRow): boolean {
  return otherCpuShare > tolerableShare
}

function table(head: readonly string[], rows: readonly string[][]): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map(row => row[column]!.length)))
  return [head, ...rows]
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function cacheText({ peakCacheBytes, preemptions }: BenchRow): string {
  if (peakCacheBytes === undefined) return ''
  return `${(peakCacheBytes / 1e6).toFixed(0)} MB${preemptions ? `, ${preemptions} preemptions` : ''}`
}

function threadsText(count: number): string {
  return count === 1 ? '1 thread' : `${count} threads`
}

function giga(perSecond: number): string {
  const value = perSecond / 1e9
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2)
}

/** In the unit that keeps three figures before or after the point. */
export function duration(seconds: number): string {
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`
  return seconds >= 1e-3 ? `${(1e3 * seconds).toPrecision(3)} ms` : `${(1e6 * seconds).toPrecision(3)} µs`
}
