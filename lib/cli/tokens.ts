/** Text or token ids, as the commands' input has them. */
import { DataError } from '../errors.js'

export type TextOrTokens = string | number[]

/** What of a model is needed to read its input. */
export interface Reader {
  readonly configuration: { readonly vocabularySize: number; readonly maxPositions: number }
  readonly tokenizer: { encode(text: string): Int32Array }
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
export function toTokens(value: TextOrTokens, model: Reader, place: string, field: string): Int32Array {
  if (typeof value === 'string') return model.tokenizer.encode(value)
  const { vocabularySize } = model.configuration
  const wrong = value.findIndex(id => id >= vocabularySize)
  if (wrong >= 0)
    throw new DataError(
      `${place}: ${field}[${wrong}]: ${value[wrong]} is not a token of this model; expected 0 to ${vocabularySize - 1}`,
    )
  return Int32Array.from(value)
}

/** @throws {DataError} where the model has no positions for that many tokens */
export function checkContext(tokens: number, model: Reader, place: string, what: string): void {
  const { maxPositions } = model.configuration
  if (tokens > maxPositions)
    throw new DataError(
      `${place}: ${what} has ${tokens} tokens; the context of this model is ${maxPositions}`,
    )
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
