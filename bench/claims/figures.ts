/** A figure for each claim: differences question by question, with their bootstrap intervals. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { pairedDifference } from '../../lib/stages/evaluate/statistics.js'
import {
  judgedParts,
  type MeasureName,
  meanLists,
  measures,
  studentDifference,
  teacherDifference,
  valuesOf,
} from './analysis.js'
import type { Results } from './results.js'
import { settings } from './settings.js'

interface Bar {
  label: string
  panel: string
  mean: number
  low: number
  high: number
}

const panels: Record<MeasureName, string> = {
  direct: 'right behind the question',
  afterThought: 'behind its own thought',
}

/** By the claim's letter, as SVG files. */
export function figures(results: Results): Record<'a' | 'b' | 'c', string> {
  return { a: figureA(results), b: figureB(results), c: figureC(results) }
}

function figureA({ teacherStudents: { untrained, trained, none } }: Results): string {
  const bars = measures.flatMap(measure => {
    const panel = panels[measure]
    const versus = ({ measurements }: typeof trained) =>
      studentDifference(measurements, untrained.measurements, measure)
    return [
      { label: "trained teacher's", panel, ...versus(trained) },
      { label: 'no explanations', panel, ...versus(none) },
    ]
  })
  return draw(
    bars,
    "log-probability of the solution, above a student of the untrained teacher's explanations",
  )
}

function figureB({ rankStudents }: Results): string {
  const bars = measures.flatMap(measure => {
    const partitions = rankStudents.map(({ measurements }) => valuesOf(measurements, measure))
    const mean = meanLists(partitions)
    return partitions.map((values, k) => ({
      label: rankName(k, partitions.length),
      panel: panels[measure],
      ...pairedDifference(values, mean, settings.resampling),
    }))
  })
  return draw(bars, 'log-probability of the solution, above the mean of all partitions')
}

export function rankName(k: number, partitions: number): string {
  const kind = k === 0 ? ' (best)' : k === partitions - 1 ? ' (worst)' : ''
  return `rank ${k + 1}${kind}`
}

function figureC({ teachers, countdownStudents: { untrained, trained } }: Results): string {
  const explanations = judgedParts.map(part => ({
    label: partLabels[part],
    panel: 'explanations of countdown',
    ...teacherDifference(teachers.countdown.trained, teachers.countdown.untrained, part),
  }))
  const students = measures.map(measure => ({
    label: `student, ${panels[measure]}`,
    panel: 'explanations of countdown',
    ...studentDifference(trained.measurements, untrained.measurements, measure),
  }))
  return draw([...explanations, ...students], 'trained on GSM8K, above untrained')
}

const partLabels = {
  ...{ reward: 'reward', understanding: 'understanding' },
  ...{ naturalness: 'naturalness (less is better)', ended: 'share ended' },
}

function draw(bars: readonly Bar[], label: string): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const labels = [...new Set(bars.map(bar => bar.label))]
  const several = new Set(bars.map(({ panel }) => panel)).size > 1
  const place = { y: 'label', ...(several ? { fx: 'panel' } : {}) }
  const figure = Plot.plot({
    document: document as unknown as Plot.PlotOptions['document'],
    ...{ width: 720, height: 90 + 34 * labels.length, marginLeft: several ? 130 : 220, marginRight: 24 },
    ...{ marginBottom: 44, marginTop: 34 },
    x: { label: `${label} →`, labelAnchor: 'center', grid: true, nice: true, ticks: 5 },
    y: { domain: labels, label: null },
    ...(several ? { fx: { label: null, domain: [...new Set(bars.map(({ panel }) => panel))] } } : {}),
    marks: [
      Plot.ruleX([0], { stroke: '#888' }),
      Plot.ruleY(bars, { ...place, x1: 'low', x2: 'high', stroke: '#4269d0', strokeWidth: 2 }),
      Plot.dot(bars, { ...place, x: 'mean', fill: '#4269d0', r: 4 }),
    ],
  })
  return figure.outerHTML.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg" style="background:white"')
}
