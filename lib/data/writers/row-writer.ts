import { asJson } from './columns.js'

export type OutputRow = Readonly<Record<string, unknown>>

/** Rows come in their order; the file is complete when `finish` has returned. */
export interface RowWriter {
  write(rows: readonly OutputRow[]): Promise<void>
  /** Flushes to the disk. */
  finish(): Promise<void>
  /** Closes what is open, and leaves no incomplete file behind unless it was to be seen as it grows. */
  abandon(): Promise<void>
}

/** One line of JSON Lines. */
export const jsonLine = (row: OutputRow): string => `${JSON.stringify(asJson(row))}\n`
