import { createReadStream } from 'node:fs'
import { TextDecoder } from 'node:util'
import { DataError } from '../../errors.js'
import { cannotRead } from './failure.js'

/**
 * The lines of a UTF-8 file with their numbers from 1, without line ends (LF or CRLF) and byte-order mark.
 * The file is read only as far as lines are asked for.
 * @throws {DataError} the file cannot be read or is not UTF-8
 */
export async function* readLines(file: string): AsyncGenerator<{ line: string; number: number }> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  let number = 0
  const stream = createReadStream(file, { highWaterMark: 1 << 18 })
  try {
    for await (const chunk of stream) {
      const lines = (rest + decode(decoder, chunk as Buffer, file, number)).split('\n')
      rest = lines.pop()!
      for (const line of lines) yield { line: withoutReturn(line), number: ++number }
    }
  } catch (error) {
    throw error instanceof DataError ? error : cannotRead(file, error)
  } finally {
    stream.destroy()
  }
  rest += decode(decoder, undefined, file, number)
  if (rest !== '') yield { line: withoutReturn(rest), number: ++number }
}

function decode(decoder: TextDecoder, chunk: Buffer | undefined, file: string, line: number): string {
  try {
    return decoder.decode(chunk, { stream: chunk !== undefined })
  } catch (error) {
    throw new DataError(
      `${file}: after line ${line} there is text that is not UTF-8; convert the file first`,
      {
        cause: error,
      },
    )
  }
}

const withoutReturn = (line: string) => (line.endsWith('\r') ? line.slice(0, -1) : line)
