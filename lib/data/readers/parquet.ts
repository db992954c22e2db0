import { type AsyncBuffer, asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { DataError } from '../../errors.js'
import type { RawRow } from '../row.js'
import { cannotRead } from './failure.js'

/** Rows decoded at a time: column chunks are large, and `limit` may ask for a few rows only. */
const stretch = 1024

export async function* readParquet(file: string): AsyncGenerator<RawRow> {
  const buffer: AsyncBuffer = await asyncBufferFromFile(file).catch((error: unknown) => {
    throw cannotRead(file, error)
  })
  const read = async <T>(part: () => Promise<T>): Promise<T> =>
    part().catch((error: unknown) => {
      throw new DataError(`${file}: this Parquet file cannot be read: ${(error as Error).message}`, {
        cause: error,
      })
    })
  const metadata = await read(() => parquetMetadataAsync(buffer))
  const total = Number(metadata.num_rows)
  for (let start = 0; start < total; start += stretch) {
    const rowEnd = Math.min(start + stretch, total)
    const rows = await read(() =>
      parquetReadObjects({ file: buffer, metadata, compressors, rowStart: start, rowEnd }),
    )
    for (const [i, values] of rows.entries()) yield { values, origin: `${file}, row ${start + i + 1}` }
  }
}
