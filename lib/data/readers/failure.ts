import { DataError } from '../../errors.js'

/** What the operating system said of a file, in words. */
export function cannotRead(file: string, error: unknown): DataError {
  const { code, message } = error as NodeJS.ErrnoException
  const reason =
    code === 'ENOENT'
      ? 'there is no such file'
      : code === 'EISDIR'
        ? 'this is a folder; expected a .jsonl, .json, .csv or .parquet file'
        : code === 'EACCES'
          ? 'this user may not read it'
          : message
  return new DataError(`${file} cannot be read: ${reason}`, { cause: error })
}

/** A row has to be a mapping of columns. */
export function asColumns(value: unknown, origin: string): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value))
    return value as Record<string, unknown>
  const got = Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`
  throw new DataError(`${origin}: expected an object such as {"question": …, "solution": …}, got ${got}`)
}
