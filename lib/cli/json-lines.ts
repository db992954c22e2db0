/** Input of the commands that work through a file line by line: JSON Lines, from a file or from standard input. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { DataError, UsageError } from '../errors.js'

export interface Line<T> {
  value: T
  /** file:line, for messages. */
  place: string
}

/**
 * Reads one line at a time, so that the input can be of any length.
 * @param input a path, or - for standard input
 * @param parse checks a line's value; it throws with a message that says what is wrong with it
 * @throws {DataError} with file and line
 */
export async function* readJsonLines<T>(
  input: string,
  parse: (value: unknown) => T,
): AsyncGenerator<Line<T>> {
  const name = input === '-' ? 'standard input' : input
  let number = 0
  for await (const line of splitLines(input === '-' ? process.stdin : createReadStream(input))) {
    number++
    const text = number === 1 && line.startsWith('\uFEFF') ? line.slice(1) : line
    if (text.trim() === '') continue
    const place = `${name}:${number}`
    yield { value: parseLine(text, place, parse), place }
  }
}

/** At line feeds only: node:readline also splits at U+2028 and U+2029, which may stand unescaped in JSON texts. */
async function* splitLines(stream: Readable): AsyncGenerator<string> {
  stream.setEncoding('utf8')
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    yield* lines
  }
  if (rest !== '') yield rest
}

function parseLine<T>(line: string, place: string, parse: (value: unknown) => T): T {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new DataError(`${place}: this line is not JSON: ${(error as Error).message}`, { cause: error })
  }
  try {
    return parse(value)
  } catch (error) {
    throw new DataError(`${place}: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Reads a file through once before anything heavy is loaded: a broken line 37 is better known now than after an hour.
 * Standard input can be read only once, so there it is met on the way.
 * @throws {UsageError} there is no such file
 * @throws {DataError} with file and line
 */
export async function checkJsonLines(input: string, parse: (value: unknown) => unknown): Promise<void> {
  if (input === '-') return
  const found = await stat(input).catch(error => {
    throw new UsageError(`--input: ${input} cannot be read: ${(error as Error).message}`, { cause: error })
  })
  if (found.isDirectory())
    throw new UsageError(`--input: ${input} is a folder; expected a file of JSON Lines`)
  // A pipe or a process substitution has no end to come back from.
  if (!found.isFile()) return
  for await (const _ of readJsonLines(input, parse));
}

/** Collects what comes into lists of at most `size`. After an error, what came before it is still handed on. */
export async function* batches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = []
  let failure: { error: unknown } | undefined
  const iterator = items[Symbol.asyncIterator]()
  for (;;) {
    let next: IteratorResult<T>
    try {
      next = await iterator.next()
    } catch (error) {
      failure = { error }
      break
    }
    if (next.done) break
    batch.push(next.value)
    if (batch.length === size) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
  if (failure) throw failure.error
}
