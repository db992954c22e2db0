/** The types of columns, which Parquet wants to know before the first row. */

export type ColumnType =
  | 'boolean'
  | 'integer'
  | 'number'
  | 'text'
  /** Anything, as JSON text. */
  | 'json'
  | { fields: Columns }

export type Columns = Readonly<Record<string, ColumnType>>

/** Finds out what is in the columns of rows that others wrote. */
export class ColumnTypes {
  private readonly types = new Map<string, ColumnType | undefined>()

  add(row: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(row)) {
      const known = this.types.get(name)
      if (known !== 'json') this.types.set(name, both(known, typeOf(value)))
    }
  }

  /** In the order in which they were first met. A column that is always null is one of texts. */
  columns(): Columns {
    return Object.fromEntries([...this.types].map(([name, type]) => [name, type ?? 'text']))
  }
}

/** Of one value; undefined for null, which any column can hold. */
function typeOf(value: unknown): ColumnType | undefined {
  if (value === null || value === undefined) return undefined
  switch (typeof value) {
    case 'boolean':
      return 'boolean'
    case 'number':
      return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? 'integer' : 'number'
    case 'string':
      return 'text'
    default:
      return 'json'
  }
}

function both(a: ColumnType | undefined, b: ColumnType | undefined): ColumnType | undefined {
  if (a === undefined || b === undefined || a === b) return a ?? b
  const numbers = new Set<unknown>(['integer', 'number'])
  return numbers.has(a) && numbers.has(b) ? 'number' : 'json'
}

/**
 * A row as JSON can hold it. Parquet files hold 64-bit integers, which reach JavaScript as bigint: those that a number
 * holds exactly become one, others a text. What is not finite becomes null, as in JSON; so does what is undefined.
 */
export function asJson(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString()
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(asJson)
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, asJson(part)]))
  return value ?? null
}
