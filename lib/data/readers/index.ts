import { extname } from 'node:path'
import type { DataSource } from '../../config/index.js'
import { DataError } from '../../errors.js'
import type { RawRow } from '../row.js'
import { readCsv } from './csv.js'
import { readJson } from './json.js'
import { readJsonLines } from './jsonl.js'
import { readParquet } from './parquet.js'

type Format = Exclude<DataSource['format'], 'auto'>

const readers: Record<Format, (file: string) => AsyncGenerator<RawRow>> = {
  jsonl: readJsonLines,
  json: readJson,
  csv: readCsv,
  parquet: readParquet,
}

const formatOfExtension: Record<string, Format> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'json',
  '.csv': 'csv',
  '.parquet': 'parquet',
}

/** File name extensions that say what is in the file. */
export const dataExtensions = Object.keys(formatOfExtension)

/** @throws {DataError} the file cannot be read, or its name does not say what is in it */
export function readFileRows(file: string, format: DataSource['format'] = 'auto'): AsyncGenerator<RawRow> {
  const found = format === 'auto' ? formatOfExtension[extname(file).toLowerCase()] : format
  if (found === undefined)
    throw new DataError(
      `${file}: its name does not say what is in it; expected ${dataExtensions.join(', ')}, or the option format`,
    )
  return readers[found](file)
}
