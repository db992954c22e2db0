/** Reading JSON files and their fields with errors that say file, field, what was found and what was expected. */
import { readFile } from 'node:fs/promises'
import { ModelError } from '../errors.js'

export type Fields = Record<string, unknown>

/** @throws {ModelError} when the file is missing, unreadable, no JSON or no object */
export async function readJsonFile(file: string): Promise<Fields> {
  const value = await readJsonFileIfPresent(file)
  if (value === undefined) throw new ModelError(`${file} does not exist`)
  return value
}

/** @returns undefined where there is no such file */
export async function readJsonFileIfPresent(file: string): Promise<Fields | undefined> {
  const text = await readTextFileIfPresent(file)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ModelError(
      `${file} is not valid JSON (${text.length} characters): ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
  if (!isFields(value)) throw new ModelError(`${file}: expected a JSON object, got ${show(value)}`)
  return value
}

export async function readTextFileIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ModelError(`${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

export function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** A short rendering for messages. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

/** Reads the fields of one object; `place` opens every message. */
export class FieldReader {
  constructor(
    readonly fields: Fields,
    readonly place: string,
  ) {}

  /** A whole number of at least 1. */
  size(field: string, fallback?: number): number {
    const value = this.number(field, fallback)
    if (!Number.isSafeInteger(value) || value < 1) this.fail(field, 'a whole number of at least 1')
    return value
  }

  positive(field: string, fallback?: number): number {
    const value = this.number(field, fallback)
    if (!(value > 0)) this.fail(field, 'a number above 0')
    return value
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.fields[field] ?? fallback
    if (typeof value !== 'boolean') this.fail(field, 'true or false')
    return value as boolean
  }

  text(field: string, fallback?: string): string {
    const value = this.fields[field] ?? fallback
    if (typeof value !== 'string') this.fail(field, 'a text')
    return value as string
  }

  /** A token id, or undefined where none is given. */
  token(field: string): number | undefined {
    const value = this.fields[field]
    if (value === undefined || value === null) return undefined
    if (!isTokenId(value)) this.fail(field, 'a token id')
    return value as number
  }

  /** One token id or a list of them. */
  tokens(field: string): number[] {
    const value = this.fields[field]
    if (value === undefined || value === null) return []
    const list = Array.isArray(value) ? value : [value]
    if (!list.every(isTokenId)) this.fail(field, 'a token id or a list of token ids')
    return list as number[]
  }

  fail(field: string, expected: string): never {
    throw new ModelError(`${this.place}: ${field}: expected ${expected}, got ${show(this.fields[field])}`)
  }

  private number(field: string, fallback: number | undefined): number {
    const value = this.fields[field] ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) this.fail(field, 'a number')
    return value as number
  }
}

function isTokenId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
