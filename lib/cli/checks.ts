/** Checks of numbers on the command line, with messages of one form. */
import { UsageError } from '../errors.js'

interface Range {
  integer?: boolean
  min?: number
  above?: number
  max?: number
  below?: number
}

/** @throws {UsageError} naming the option, the range and what was given */
export function checkNumber(option: string, value: number | undefined, range: Range): void {
  if (value === undefined) return
  const { integer = false, min, above, max, below } = range
  const good =
    Number.isFinite(value) &&
    (!integer || Number.isInteger(value)) &&
    (min === undefined || value >= min) &&
    (above === undefined || value > above) &&
    (max === undefined || value <= max) &&
    (below === undefined || value < below)
  if (good) return
  const bounds = [
    min === undefined ? '' : `at least ${min}`,
    above === undefined ? '' : `above ${above}`,
    max === undefined ? '' : `at most ${max}`,
    below === undefined ? '' : `below ${below}`,
  ].filter(Boolean)
  const kind = integer ? 'a whole number' : 'a number'
  const expected = bounds.length > 0 ? `${kind} (${bounds.join(' and ')})` : kind
  throw new UsageError(`--${option}: expected ${expected}, got ${value}`)
}
