import { createHash } from 'node:crypto'
import type { DataSource, RowSource, TrainConfig } from '../config/index.js'
import { DataError } from '../errors.js'
import { type HubOptions, hubFiles } from './readers/hub.js'
import { readFileRows } from './readers/index.js'
import { mapColumns, type RawRow, type Row } from './row.js'

export interface Split<R> {
  train: R[]
  /** Empty if nothing is held out. */
  heldOut: R[]
}

export type Dataset = Split<Row>

/**
 * Reads the rows to train on and those held out from training.
 * @throws {DataError} naming file, line and column of what cannot be read, or that no row is left
 */
export async function readDataset(config: TrainConfig['data'], options: HubOptions = {}): Promise<Dataset> {
  return readSplit(config, (source, path) => readSource(source, path, options))
}

/**
 * The same of rows of any kind.
 * @param read the rows of a source, whose path in the configuration is given for messages
 */
export async function readSplit<Source extends RowSource, R>(
  config: { train: Source; heldOut: (Source & { rows?: number | undefined }) | null },
  read: (source: Source, path: string) => Promise<R[]>,
): Promise<Split<R>> {
  const train = await read(config.train, 'data.train')
  if (config.heldOut === null) return { train, heldOut: [] }
  const { rows } = config.heldOut
  if (rows === undefined) return { train, heldOut: await read(config.heldOut, 'data.heldOut') }
  if (rows >= train.length)
    throw new DataError(
      `data.heldOut.rows is ${rows}, but data.train has ${train.length} rows, so none would be left to train on`,
    )
  return { train: train.slice(0, -rows), heldOut: train.slice(-rows) }
}

/** @param path of the source in the configuration, for messages */
export async function readSource(source: DataSource, path: string, options: HubOptions = {}): Promise<Row[]> {
  const rows: Row[] = []
  for await (const raw of readRawRows(source, path, options))
    rows.push(mapColumns(raw, source.columns, `${path}.columns`))
  return rows
}

/**
 * The rows of a source as they stand in its files, one by one.
 * @throws {DataError} naming file and line of what cannot be read, or that there is no row
 */
export async function* readRawRows(
  source: RowSource,
  path: string,
  options: HubOptions = {},
): AsyncGenerator<RawRow> {
  const files = source.path !== undefined ? [source.path] : await hubFiles(source, path, options)
  let passed = 0
  let taken = 0
  for await (const raw of readAll(files, source.format)) {
    options.signal?.throwIfAborted()
    if (passed++ < source.skip) continue
    yield raw
    if (++taken === source.limit) return
  }
  if (taken === 0)
    throw new DataError(
      `${path}: there are no rows in ${source.path ?? source.hub}${passed > 0 ? ` after the ${passed} that data skips` : ''}`,
    )
}

/** Tells whether a run goes on with the rows that it was started with. */
export function fingerprint({ train, heldOut }: Dataset): string {
  const hash = createHash('sha256')
  for (const rows of [train, heldOut])
    hash
      .update(`${rows.length}\n`)
      .update(rows.map(row => JSON.stringify([row.question, row.solution, row.answer])).join('\n'))
  return hash.digest('hex')
}

async function* readAll(files: readonly string[], format: DataSource['format']): AsyncGenerator<RawRow> {
  for (const file of files) yield* readFileRows(file, format)
}
