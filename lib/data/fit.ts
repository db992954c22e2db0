/** Which rows fit into the models' contexts, found out before the first step rather than in its midst. */
import type { FormatConfig, TrainConfig } from '../config/index.js'
import { DataError } from '../errors.js'
import type { Tokenizer } from '../models/index.js'
import { StudentFormat } from './formats/student.js'
import { teacherPrompt } from './formats/teacher.js'
import type { Row } from './row.js'

/** What of a model decides whether a row fits. */
export interface Reader {
  /** As the user called it, for messages. */
  name: string
  tokenizer: Tokenizer
  /** The longest sequence that the model can read. */
  maxPositions: number
}

export interface Fit {
  rows: Row[]
  /** Rows left out, each with the reason. Empty unless data.longPrompts is skip. */
  skipped: { row: Row; reason: string }[]
}

/**
 * @throws {DataError} naming the first row that is too long, with its length and what is allowed, if data.longPrompts
 *   is fail; or that no row is left
 */
export async function rowsThatFit(
  rows: readonly Row[],
  teacher: Reader,
  students: readonly Reader[],
  config: TrainConfig,
  signal?: AbortSignal,
): Promise<Fit> {
  const fit: Fit = { rows: [], skipped: [] }
  for (const [i, row] of rows.entries()) {
    // Tokenising a large data set takes seconds: the event loop gets its turn, and Ctrl-C is heard.
    if (i % 64 === 0) await new Promise(resolve => setImmediate(resolve))
    signal?.throwIfAborted()
    const reason = whyTooLong(row, teacher, students, {
      ...{ format: config.format, maxNewTokens: config.sampling.maxNewTokens },
      ...{ maxPromptTokens: config.data.maxPromptTokens, explanationTokens: config.sampling.maxNewTokens },
    })
    if (reason === undefined) {
      fit.rows.push(row)
      continue
    }
    if (config.data.longPrompts === 'fail')
      throw new DataError(`${row.origin}: ${reason}.\nLeave such rows out with data.longPrompts: skip`)
    fit.skipped.push({ row, reason })
  }
  if (fit.rows.length === 0)
    throw new DataError(`No row is short enough. The first, ${rows[0]?.origin}: ${fit.skipped[0]?.reason}`)
  return fit
}

export interface Lengths {
  format: FormatConfig
  /** Null is what the teacher's context leaves. */
  maxPromptTokens: number | null
  /** What the teacher may write. */
  maxNewTokens: number
  /** What the students are to have room for. */
  explanationTokens: number
}

/** Why a row does not fit into the models' contexts; undefined if it does. */
export function whyTooLong(
  row: Row,
  teacher: Reader,
  students: readonly Reader[],
  { format, maxPromptTokens, maxNewTokens, explanationTokens }: Lengths,
): string | undefined {
  const prompt = teacherPrompt(row, format, teacher.tokenizer).length
  const room = teacher.maxPositions - maxNewTokens
  const limit = Math.min(maxPromptTokens ?? room, room)
  if (prompt > limit) {
    const why =
      limit === room
        ? `the context of ${teacher.name} is ${teacher.maxPositions}, of which sampling.maxNewTokens takes ${maxNewTokens}`
        : 'data.maxPromptTokens'
    return `the teacher's prompt has ${prompt} tokens; expected at most ${limit} (${why})`
  }
  for (const student of students) {
    const length = new StudentFormat(row, format, student.tokenizer).lengthWith(explanationTokens)
    const explanation =
      explanationTokens === maxNewTokens
        ? `sampling.maxNewTokens (${maxNewTokens})`
        : `${explanationTokens} token${explanationTokens === 1 ? '' : 's'}`
    if (length > student.maxPositions)
      return (
        `question, solution and an explanation of ${explanation} take ${length} tokens; ` +
        `the context of the student ${student.name} is ${student.maxPositions}`
      )
  }
  return undefined
}
