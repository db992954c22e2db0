/** How numbers are distributed: in letters for a terminal, as an SVG, and as a page of its own. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { escapeHtml } from './curves.js'
import { style } from './style.js'
import { bar, formatNumber } from './text.js'

interface HistogramOptions {
  title: string
  /** Of the values' axis. */
  label: string
}

export interface Bin {
  low: number
  /** Belongs to the next bin, but for the last. */
  high: number
  count: number
}

/** Bins of equal width from the least value to the greatest; one if all are equal. Of no values there are none. */
export function binsOf(values: ArrayLike<number>, bins: number): Bin[] {
  if (values.length === 0) return []
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]!)
    high = Math.max(high, values[i]!)
  }
  if (low === high) return [{ low, high, count: values.length }]
  const width = (high - low) / bins
  const counts = new Array<number>(bins).fill(0)
  for (let i = 0; i < values.length; i++)
    counts[Math.min(bins - 1, Math.floor((values[i]! - low) / width))]! += 1
  return counts.map((count, i) => ({
    low: low + i * width,
    high: i === bins - 1 ? high : low + (i + 1) * width,
    count,
  }))
}

/** A line a bin, the greatest values first. */
export function histogramText(values: ArrayLike<number>, { bins = 12, width = 40 } = {}): string {
  const found = binsOf(values, bins).toReversed()
  const most = Math.max(...found.map(({ count }) => count))
  const ranges = found.map(({ low, high }) => `${formatNumber(low)} … ${formatNumber(high)}`)
  const widest = Math.max(...ranges.map(({ length }) => length))
  return found
    .map(({ count }, i) => {
      const drawn = bar(count / most, width).replaceAll('─', ' ')
      return `${ranges[i]!.padStart(widest)}  ${drawn} ${count}\n`
    })
    .join('')
}

/** As a file of its own; of no values, an empty drawing. */
export function histogramSvg(values: readonly number[], { label }: HistogramOptions): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const figure = Plot.plot({
    document: document as unknown as Plot.PlotOptions['document'],
    ...{ width: 720, height: 300, marginLeft: 56 },
    x: { label },
    y: { label: 'rows', grid: true },
    marks: [
      Plot.rectY(
        binsOf(values, 40).filter(({ low, high }) => low < high),
        { x1: 'low', x2: 'high', y: 'count', fill: '#4269d0', inset: 0.5 },
      ),
      // All values equal: a bin without a width.
      Plot.ruleX(
        binsOf(values, 40).filter(({ low, high }) => low === high),
        { x: 'low', y: 'count', stroke: '#4269d0', strokeWidth: 4 },
      ),
      Plot.ruleY([0]),
    ],
  })
  return figure.outerHTML.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg" style="background:white"')
}

/** One file, without a script and without the network. */
export function histogramPage(values: readonly number[], options: HistogramOptions): string {
  const title = escapeHtml(options.title)
  const svg = histogramSvg(values, options).replace(' style="background:white"', '')
  const rows = binsOf(values, 12)
    .toReversed()
    .map(
      ({ low, high, count }) =>
        `<tr><td>${formatNumber(low)} … ${formatNumber(high)}</td><td>${count}</td></tr>`,
    )
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<h1>${title}</h1>
<p>${values.length} rows</p>
${svg}
<table><thead><tr><th>${escapeHtml(options.label)}</th><th>rows</th></tr></thead><tbody>${rows.join('')}</tbody></table>
</body>
</html>
`
}
