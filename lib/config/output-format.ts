import { extname } from 'node:path'

export type OutputFormat = 'jsonl' | 'parquet'

const formatOfExtension: Record<string, OutputFormat> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.parquet': 'parquet',
}

/** What the name of an output file says of its format; undefined if nothing. */
export function outputFormat(file: string): OutputFormat | undefined {
  return formatOfExtension[extname(file).toLowerCase()]
}

/** For messages. */
export const outputExtensions = Object.keys(formatOfExtension).join(', ')
