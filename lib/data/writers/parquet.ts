import type { SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { asJson, type Columns, type ColumnType } from './columns.js'
import type { OutputRow, RowWriter } from './row-writer.js'
import { TemporaryFile } from './temporary.js'

/** Rows of a row group: few enough that texts of thousands of tokens fit into memory many times. */
const groupRows = 1000

export class ParquetRowWriter implements RowWriter {
  private readonly bytes = new ByteWriter()
  private readonly parquet: ParquetWriter
  private rows: OutputRow[] = []

  private constructor(
    private readonly file: TemporaryFile,
    private readonly columns: Columns,
  ) {
    this.parquet = new ParquetWriter({ writer: this.bytes, schema: schemaOf(columns), createdBy: 'rlt' })
  }

  static async create(file: string, columns: Columns, partial?: string): Promise<ParquetRowWriter> {
    return new ParquetRowWriter(await TemporaryFile.create(file, partial), columns)
  }

  async write(rows: readonly OutputRow[]): Promise<void> {
    this.rows.push(...rows)
    while (this.rows.length >= groupRows) await this.writeGroup(this.rows.splice(0, groupRows))
  }

  async finish(): Promise<void> {
    if (this.rows.length > 0) await this.writeGroup(this.rows.splice(0))
    await this.parquet.finish()
    await this.flush()
    await this.file.keep()
  }

  async abandon(): Promise<void> {
    await this.file.discard()
  }

  private async writeGroup(rows: readonly OutputRow[]): Promise<void> {
    const columnData = Object.entries(this.columns).map(([name, type]) => ({
      name,
      data: rows.map(row => valueFor(row[name], type)),
    }))
    await this.parquet.write({ columnData, rowGroupSize: rows.length })
    await this.flush()
  }

  /** The writer counts its offset in the file apart from its place in the buffer, which starts anew here. */
  private async flush(): Promise<void> {
    await this.file.handle.appendFile(this.bytes.getBytes())
    this.bytes.index = 0
  }
}

function valueFor(value: unknown, type: ColumnType): unknown {
  const plain = asJson(value)
  if (plain === null || type === 'json') return plain
  if (typeof type !== 'object') return plain
  return Object.fromEntries(
    Object.entries(type.fields).map(([name, field]) => [
      name,
      valueFor((plain as Record<string, unknown>)[name], field),
    ]),
  )
}

function schemaOf(columns: Columns): SchemaElement[] {
  return [{ name: 'root', num_children: Object.keys(columns).length }, ...elementsOf(columns)]
}

function elementsOf(columns: Columns): SchemaElement[] {
  return Object.entries(columns).flatMap(([name, type]) => {
    const element = { name, repetition_type: 'OPTIONAL' as const }
    if (typeof type === 'object')
      return [{ ...element, num_children: Object.keys(type.fields).length }, ...elementsOf(type.fields)]
    return [{ ...element, ...primitives[type] }]
  })
}

const primitives = {
  boolean: { type: 'BOOLEAN' },
  integer: { type: 'INT32' },
  number: { type: 'DOUBLE' },
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  json: { type: 'BYTE_ARRAY', converted_type: 'JSON' },
} as const satisfies Record<string, Partial<SchemaElement>>
