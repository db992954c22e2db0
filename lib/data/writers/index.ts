/** Rows into a file, in the format that its name says. */
import { outputExtensions, outputFormat } from '../../config/index.js'
import { ConfigurationError } from '../../errors.js'
import type { Columns } from './columns.js'
import { JsonLinesWriter } from './jsonl.js'
import { ParquetRowWriter } from './parquet.js'
import type { RowWriter } from './row-writer.js'

export { asJson, type Columns, type ColumnType, ColumnTypes } from './columns.js'

export { jsonLine, type OutputRow, type RowWriter } from './row-writer.js'

export interface WriterOptions {
  /** Whether the file is under its name while it grows. If not, it appears there when it is complete. */
  growing?: boolean
  /** Where the file is until then. By default it is beside its place, under a name of its own. */
  partial?: string | undefined
}

/**
 * @param columns of the rows; a row that lacks one has null there. JSON Lines hold whatever a row has
 * @throws {ConfigurationError} the name does not say the format
 */
export async function createRowWriter(
  file: string,
  columns: Columns,
  { growing = false, partial }: WriterOptions = {},
): Promise<RowWriter> {
  switch (outputFormat(file)) {
    case 'jsonl':
      return JsonLinesWriter.create(file, growing, partial)
    case 'parquet':
      // A Parquet file cannot be read before its end is written.
      return ParquetRowWriter.create(file, columns, partial)
    case undefined:
      throw new ConfigurationError(
        `${file}: the name of an output file says its format; expected ${outputExtensions}`,
      )
  }
}
