import { createReadStream } from 'node:fs'
import { CsvError, parse } from 'csv-parse'
import { DataError } from '../../errors.js'
import type { RawRow } from '../row.js'
import { cannotRead } from './failure.js'

/** Comma-separated values (RFC 4180), the first line naming the columns. */
export async function* readCsv(file: string): AsyncGenerator<RawRow> {
  // `info` tells on which line a record ends; it begins after the end of the one before.
  const parser = parse({ bom: true, columns: true, skip_empty_lines: true, info: true })
  const stream = createReadStream(file)
  stream.on('error', error => parser.destroy(error))
  stream.pipe(parser)
  let previousLine = 1
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      yield { values: record, origin: `${file}:${previousLine + 1}` }
      previousLine = info.lines
    }
  } catch (error) {
    if (error instanceof DataError) throw error
    if (!(error instanceof CsvError)) throw cannotRead(file, error)
    throw new DataError(`${file}:${error.lines ?? previousLine + 1}: this is not CSV: ${error.message}`, {
      cause: error,
    })
  } finally {
    stream.destroy()
  }
}

interface Parsed {
  record: Record<string, string>
  info: { lines: number }
}
