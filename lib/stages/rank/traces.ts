/** The rows to be ranked, read one by one as often as they are needed: a data set may be larger than memory. */
import type { RankConfig } from '../../config/index.js'
import {
  asJson,
  type Columns,
  ColumnTypes,
  mapColumns,
  type RawRow,
  type Row,
  readRawRows,
  textColumn,
} from '../../data/index.js'
import { DataError } from '../../errors.js'

/** One row, and what of it is scored. */
export interface Trace {
  raw: RawRow
  row: Row
  explanation: string
}

export class Traces {
  private constructor(
    private readonly data: RankConfig['data'],
    private readonly signal: AbortSignal | undefined,
    readonly length: number,
    /** Of the rows as they are. */
    readonly columns: Columns,
  ) {}

  /**
   * Reads all rows once: a broken line 37 is better known now than after an hour.
   * @throws {DataError} with file and line
   */
  static async check({ data }: RankConfig, signal: AbortSignal | undefined): Promise<Traces> {
    const types = new ColumnTypes()
    let length = 0
    for await (const { raw } of readTraces(data, signal)) {
      types.add(plain(raw))
      length++
    }
    return new Traces(data, signal, length, types.columns())
  }

  /** All rows in their order. */
  async *read(): AsyncGenerator<Trace> {
    let count = 0
    for await (const trace of readTraces(this.data, this.signal)) {
      if (++count > this.length) break
      yield trace
    }
    if (count !== this.length)
      throw new DataError(
        `${this.data.path ?? this.data.hub} was changed while it was ranked: there were ${this.length} rows. Try again.`,
      )
  }

  async *batches(size: number): AsyncGenerator<Trace[]> {
    let batch: Trace[] = []
    for await (const trace of this.read()) {
      batch.push(trace)
      if (batch.length < size) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }
}

/** The row as it was, in what JSON can hold. */
export function plain(raw: RawRow): Record<string, unknown> {
  return asJson(raw.values) as Record<string, unknown>
}

async function* readTraces(data: RankConfig['data'], signal: AbortSignal | undefined): AsyncGenerator<Trace> {
  for await (const raw of readRawRows(data, 'data', { signal })) {
    const row = mapColumns(raw, data.columns, 'data.columns')
    const column = data.columns.explanation ?? usualColumn(raw)
    yield { raw, row, explanation: textColumn(raw, column, 'data.columns.explanation') }
  }
}

function usualColumn({ values }: RawRow): string {
  return !('explanation' in values) && 'reasoning_trace' in values ? 'reasoning_trace' : 'explanation'
}
