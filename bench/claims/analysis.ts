/** From measurements to what can be said: means, and differences question by question with how sure they are. */
import {
  type Estimate,
  estimate,
  type PairedDifference,
  pairedDifference,
} from '../../lib/stages/evaluate/statistics.js'
import type { Judgement } from './judge.js'
import type { Measurement } from './measure.js'
import { settings } from './settings.js'

export const measures = ['direct', 'afterThought'] as const
export type MeasureName = (typeof measures)[number]

export const judgedParts = ['reward', 'understanding', 'naturalness', 'ended'] as const
export type JudgedPart = (typeof judgedParts)[number]

/** A question's value is the mean over the seeds. */
export function valuesOf(measurements: readonly Measurement[], measure: MeasureName): number[] {
  return meanLists(measurements.map(measurement => measurement[measure]))
}

export function meanLists(lists: readonly (readonly number[])[]): number[] {
  return lists[0]!.map((_, i) => lists.reduce((sum, list) => sum + list[i]!, 0) / lists.length)
}

export const estimateOf = (values: readonly number[]): Estimate => estimate(values, settings.resampling)

/** How much higher the first students are than the second ones. */
export function studentDifference(
  first: readonly Measurement[],
  second: readonly Measurement[],
  measure: MeasureName,
): PairedDifference {
  return pairedDifference(valuesOf(first, measure), valuesOf(second, measure), settings.resampling)
}

/** The same seed by seed. */
export function differencesBySeed(
  first: readonly Measurement[],
  second: readonly Measurement[],
  measure: MeasureName,
): number[] {
  return first.map((one, s) => meanOf(one[measure]) - meanOf(second[s]![measure]))
}

/** By how much students of one data set differ from seed to seed: the range of their means, averaged over the data sets. */
export function rangeOverSeeds(dataSets: readonly (readonly Measurement[])[], measure: MeasureName): number {
  return meanOf(
    dataSets.map(measurements => {
      const means = measurements.map(one => meanOf(one[measure]))
      return Math.max(...means) - Math.min(...means)
    }),
  )
}

/** Of the mean over seeds, whatever the questions; undefined for a single seed. */
export function errorOverSeeds(values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined
  const mean = meanOf(values)
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return Math.sqrt(squares / (values.length - 1) / values.length)
}

export interface JudgedDifference extends PairedDifference {
  /** That have a value for both. */
  questions: number
}

/** How much higher the first teacher's value is, over the questions where both have one. */
export function teacherDifference(first: Judgement, second: Judgement, part: JudgedPart): JudgedDifference {
  const both = first[part].flatMap((value, i) => {
    const other = second[part][i] ?? null
    return value === null || other === null ? [] : [[value, other] as const]
  })
  const difference = pairedDifference(
    both.map(([value]) => value),
    both.map(([, other]) => other),
    settings.resampling,
  )
  return { ...difference, questions: both.length }
}

/** Of the questions that have a value. */
export const estimateOfPart = (judgement: Judgement, part: JudgedPart): Estimate =>
  estimateOf(judgement[part].flatMap(value => value ?? []))

/** What an interval says. */
export function verdict({
  low,
  high,
}: Pick<Estimate, 'low' | 'high'>): 'higher' | 'lower' | 'no difference shown' {
  if (low > 0) return 'higher'
  return high < 0 ? 'lower' : 'no difference shown'
}

/**
 * Least-squares slope of each question's value over the place of the partition, from the best (0): below 0 where students
 * of better explanations are better. Its error is over questions.
 */
export function slopes(partitions: readonly (readonly number[])[]): number[] {
  const middle = (partitions.length - 1) / 2
  const spread = partitions.reduce((sum, _, k) => sum + (k - middle) ** 2, 0)
  return partitions[0]!.map(
    (_, i) => partitions.reduce((sum, values, k) => sum + (k - middle) * values[i]!, 0) / spread,
  )
}

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length
