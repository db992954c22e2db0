import { DataError } from '../../errors.js'
import type { RawRow } from '../row.js'
import { asColumns } from './failure.js'
import { readLines } from './lines.js'

/** One JSON object a line. Empty lines are passed over. */
export async function* readJsonLines(file: string): AsyncGenerator<RawRow> {
  for await (const { line, number } of readLines(file)) {
    if (line.trim() === '') continue
    const origin = `${file}:${number}`
    yield { values: asColumns(parse(line, origin), origin), origin }
  }
}

function parse(line: string, origin: string): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    const shown = line.length > 80 ? `${line.slice(0, 80)}…` : line
    throw new DataError(`${origin}: this line is not JSON: ${(error as Error).message}\n  ${shown}`, {
      cause: error,
    })
  }
}
