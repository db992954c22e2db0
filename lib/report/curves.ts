/** Curves of a run's metrics as static SVG: no script is needed to look at them. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { MetricsRow } from '../runs/index.js'
import { formatNumber, runningMean } from './text.js'

export interface Series {
  name: string
  rows: readonly MetricsRow[]
  /** The metric's key in a row. */
  key: string
  /** Key of the value's standard error, drawn as a bar through the point. */
  errorKey?: string
}

export interface CurveOptions {
  series: readonly Series[]
  /** Unit of the values, shown at the axis. */
  unit?: string
  /** Multiplies the values, for instance from bytes to GiB. */
  scale?: number
  width?: number
  height?: number
}

interface Point {
  step: number
  value: number
  mean: number
  error: number
  name: string
}

const colours = ['#4269d0', '#ff725c', '#3ca951', '#a463f2', '#efb118', '#6cc5b0', '#9c6b4e']

/** A line chart over the steps, or undefined if none of the series has a value. */
export function curve(options: CurveOptions): string | undefined {
  const { series, unit, scale = 1, width = 460, height = 200 } = options
  const points = series.flatMap(one => pointsOf(one, scale))
  if (points.length === 0) return undefined
  const names = [...new Set(points.map(point => point.name))]
  const stroke = (point: Point) => point.name
  const z = 'name' // said outright, or Plot takes a series of one point for a mistake and warns
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const noisy = Math.max(...series.map(({ rows }) => rows.length)) >= 20
  const figure = Plot.plot({
    document: document as unknown as Plot.PlotOptions['document'],
    width,
    height,
    marginLeft: 56,
    grid: true,
    x: { label: 'step', ticks: integerTicks(points) },
    y: { label: unit ?? null, nice: true },
    color: { domain: names, range: colours, legend: false },
    marks: [
      Plot.lineY(points, {
        x: 'step',
        y: 'value',
        z,
        stroke,
        strokeOpacity: noisy ? 0.35 : 1,
        strokeWidth: noisy ? 1 : 2,
      }),
      noisy ? Plot.lineY(points, { x: 'step', y: 'mean', z, stroke, strokeWidth: 2 }) : null,
      Plot.ruleX(
        points.filter(({ error }) => error > 0),
        {
          x: 'step',
          y1: ({ value, error }) => value - error,
          y2: ({ value, error }) => value + error,
          stroke,
        },
      ),
      Plot.dot(points, {
        x: 'step',
        y: 'value',
        fill: stroke,
        // Points of a long run are there for their tooltips only.
        fillOpacity: noisy ? 0 : 1,
        r: 3,
        title: point => `step ${point.step}: ${formatNumber(point.value)} ${point.name}`,
      }),
    ],
  })
  const legend = names.length > 1 ? legendOf(names) : ''
  return legend + figure.outerHTML
}

function pointsOf({ name, rows, key, errorKey }: Series, scale: number): Point[] {
  const found = rows.filter(row => Number.isFinite(row[key]))
  const values = found.map(row => row[key]! * scale)
  const means = runningMean(values, Math.ceil(values.length / 20))
  return found.map((row, i) => ({
    name,
    step: row.step,
    value: values[i]!,
    mean: means[i]!,
    error: (errorKey === undefined ? 0 : (row[errorKey] ?? 0)) * scale,
  }))
}

/** Steps are whole: a short run is not to have a tick at 1.5. */
function integerTicks(points: readonly Point[]): number[] | number {
  const steps = points.map(point => point.step)
  const [low, high] = [Math.min(...steps), Math.max(...steps)]
  return high - low <= 8 ? Array.from({ length: high - low + 1 }, (_, i) => low + i) : 8
}

function legendOf(names: readonly string[]): string {
  const entries = names.map(
    (name, i) => `<span><i style="background:${colours[i % colours.length]}"></i>${escapeHtml(name)}</span>`,
  )
  return `<div class="legend">${entries.join('')}</div>`
}

export function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replaceAll(/[&<>"']/g, character => entities[character]!)
}
