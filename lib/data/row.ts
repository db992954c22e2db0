import type { DataColumn, DataSource } from '../config/index.js'
import { nearest } from '../config/suggest.js'
import { DataError } from '../errors.js'

/** What a file says, before its columns are mapped. */
export interface RawRow {
  values: Record<string, unknown>
  /** `file:line`, or `file, row n` where rows are not lines. */
  origin: string
}

/** One question of a data set. */
export interface Row {
  question: string
  solution: string
  /** The final answer alone, where the data set has it. */
  answer: string | null
  /** Where it was read: `file:line`, or `file, row n` where rows are not lines. */
  origin: string
}

/**
 * Takes a row's fields from the columns that the configuration names.
 * @param path of the columns in the configuration, for messages: data.train.columns
 * @throws {DataError} naming row and column: it is missing, is no text, or is empty
 */
export function mapColumns(raw: RawRow, columns: DataSource['columns'], path: string): Row {
  return {
    question: textColumn(raw, columns.question, `${path}.question`),
    solution: textColumn(raw, columns.solution, `${path}.solution`),
    answer: columns.answer === null ? null : textColumn(raw, columns.answer, `${path}.answer`),
    origin: raw.origin,
  }
}

/**
 * The text in one column.
 * @param option of the configuration that names the column, for messages
 * @throws {DataError} as {@link mapColumns}
 */
export function textColumn(raw: RawRow, column: DataColumn, option: string): string {
  const name = typeof column === 'string' ? column : column.column
  const whole = asText(columnValue(raw, name, option), raw, name)
  const value = typeof column === 'string' ? whole : between(whole, column.between, raw, name)
  if (value.trim() === '') throw new DataError(`${raw.origin}: column ${name} is empty; expected a text`)
  return value
}

/**
 * What is in a column, named as it is or by the names and list indices that lead to a nested value: conversations.0.value
 * @param option of the configuration that names the column, for messages
 * @throws {DataError} it is missing
 */
export function columnValue(raw: RawRow, name: string, option: string): unknown {
  if (Object.hasOwn(raw.values, name)) return raw.values[name]
  let value: unknown = raw.values
  const path = name.split('.')
  for (const [depth, key] of path.entries()) {
    if (value !== null && typeof value === 'object' && Object.hasOwn(value, key)) {
      value = (value as Record<string, unknown>)[key]
      continue
    }
    throw missingColumn(raw, name, depth === 0 ? '' : path.slice(0, depth).join('.'), value, key, option)
  }
  return value
}

function missingColumn(
  raw: RawRow,
  name: string,
  parent: string,
  value: unknown,
  key: string,
  option: string,
): DataError {
  const where = parent === '' ? '' : ` in ${parent}`
  if (value === null || typeof value !== 'object')
    return new DataError(
      `${raw.origin}: column ${name}: ${parent} holds ${kindOf(value)}, so there is no ${key} in it`,
    )
  const keys = Object.keys(value)
  const meant = nearest(key, keys)
  return new DataError(
    `${raw.origin}: there is no column ${key}${where}; there ${keys.length === 1 ? 'is' : 'are'} ${keys.join(', ') || 'none'}.\n` +
      `${meant ? `Did you mean ${meant}? ` : ''}Name the column with ${option}`,
  )
}

function asText(value: unknown, raw: RawRow, name: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value)
  throw new DataError(`${raw.origin}: column ${name} holds ${kindOf(value)}; expected a text`)
}

function between(whole: string, [open, close]: readonly [string, string], raw: RawRow, name: string): string {
  const missing = (tag: string) =>
    new DataError(`${raw.origin}: column ${name} has no ${JSON.stringify(tag)}`)
  const opened = whole.indexOf(open)
  if (opened < 0) throw missing(open)
  const start = opened + open.length
  const end = whole.indexOf(close, start)
  if (end < 0) throw missing(close)
  return whole.slice(start, end).trim()
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing (null)'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `${value}`
}
