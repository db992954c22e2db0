import { readFile } from 'node:fs/promises'
import { DataError } from '../../errors.js'
import type { RawRow } from '../row.js'
import { asColumns, cannotRead } from './failure.js'

/** A JSON file with one list of objects. */
export async function* readJson(file: string): AsyncGenerator<RawRow> {
  const rows = parse(await readText(file), file)
  if (!Array.isArray(rows))
    throw new DataError(
      `${file}: expected a list of objects, [{"question": …}, …]; with one object a line, name it .jsonl`,
    )
  for (const [i, value] of rows.entries()) {
    const origin = `${file}, row ${i + 1}`
    yield { values: asColumns(value, origin), origin }
  }
}

async function readText(file: string): Promise<string> {
  const bytes = await readFile(file).catch(error => {
    throw cannotRead(file, error)
  })
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new DataError(`${file}: there is text that is not UTF-8; convert the file first`, { cause: error })
  }
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    const position = /position (\d+)/.exec(message)?.[1]
    const line = position === undefined ? '' : `:${text.slice(0, Number(position)).split('\n').length}`
    throw new DataError(`${file}${line}: this is not JSON: ${message}`, { cause: error })
  }
}
