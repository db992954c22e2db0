/** Text or token ids, as the commands' input has them. */
import { DataError } from '../errors.js'

export type TextOrTokens = string | number[]

export interface Encoder {
  readonly vocabularySize: number
  encode(text: string): Int32Array
}

/** @throws {Error} naming the field; the reader of lines adds file and line */
export function parseTextOrTokens(value: unknown, field: string): TextOrTokens {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) {
    const wrong = value.findIndex(id => !Number.isInteger(id) || id < 0)
    if (wrong < 0) return value
    throw new Error(
      `${field}[${wrong}]: expected a token id (a whole number of at least 0), got ${JSON.stringify(value[wrong])}`,
    )
  }
  const got = value === undefined ? 'nothing' : JSON.stringify(value)
  throw new Error(
    `${field}: expected a text or a list of token ids, got ${got.length > 60 ? `${got.slice(0, 59)}…` : got}`,
  )
}

/** A text is taken as it stands: special tokens written in it are recognised, none are added. */
export function toTokens(value: TextOrTokens, encoder: Encoder, place: string, field: string): Int32Array {
  if (typeof value === 'string') return encoder.encode(value)
  const wrong = value.findIndex(id => id >= encoder.vocabularySize)
  if (wrong >= 0)
    throw new DataError(
      `${place}: ${field}[${wrong}]: ${value[wrong]} is not a token of this model; expected 0 to ${encoder.vocabularySize - 1}`,
    )
  return Int32Array.from(value)
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
