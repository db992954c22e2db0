/**
 * Reasoning traces: questions with an explanation and a solution, in the shapes in which data sets have them.
 *
 * columns: question, solution, and explanation or reasoning_trace (the rows of `rlt explain` and of the paper's code);
 * conversation: a list of turns as Bespoke-Stratos has it ({ from, value }) or as chat APIs do ({ role, content }), in
 *   which the assistant's first turn holds explanation and solution, told apart by tags.
 */
import { createHash } from 'node:crypto'
import type { DataColumn, TraceColumns, TraceData } from '../config/index.js'
import { DataError } from '../errors.js'
import { readRawRows, readSplit, type Split } from './dataset.js'
import type { HubOptions } from './readers/hub.js'
import { columnValue, type RawRow, type Row, textColumn } from './row.js'

export interface Trace extends Omit<Row, 'answer'> {
  explanation: string
}

export interface ReadTracesOptions extends HubOptions {
  /** Called for each row that is left out because of data.invalidRows: skip. */
  onInvalid?: (fault: DataError) => void
}

/**
 * Reads the traces to train on and those held out from training.
 * @throws {DataError} naming file, line and column of what cannot be read, or that no row is left
 */
export async function readTraces(data: TraceData, options: ReadTracesOptions = {}): Promise<Split<Trace>> {
  return readSplit(data, async (source, path) => {
    const traces: Trace[] = []
    let firstFault: DataError | undefined
    for await (const raw of readRawRows(source, path, options)) {
      try {
        traces.push(traceOf(raw, source.columns, `${path}.columns`))
      } catch (fault) {
        if (data.invalidRows === 'fail' || !(fault instanceof DataError)) throw fault
        firstFault ??= fault
        options.onInvalid?.(fault)
      }
    }
    if (traces.length === 0 && firstFault !== undefined)
      throw new DataError(`${path}: no row is valid. The first: ${firstFault.message}`)
    return traces
  })
}

/** Tells whether a run goes on with the traces that it was started with. */
export function traceFingerprint({ train, heldOut }: Split<Trace>): string {
  const hash = createHash('sha256')
  for (const traces of [train, heldOut]) {
    hash.update(`${traces.length}\n`)
    for (const { question, solution, explanation } of traces)
      hash.update(`${JSON.stringify([question, solution, explanation])}\n`)
  }
  return hash.digest('hex')
}

/**
 * @param path of the columns in the configuration, for messages: data.train.columns
 * @throws {DataError} naming row and column: it is missing, is no text, is empty or lacks its tags
 */
export function traceOf(raw: RawRow, columns: TraceColumns, path: string): Trace {
  const conversation = columns.conversation ?? usualConversation(raw, columns)
  return conversation === undefined
    ? fromColumns(raw, columns, path)
    : fromConversation(raw, conversation, `${path}.conversation`)
}

function usualConversation({ values }: RawRow, columns: TraceColumns): string | undefined {
  if (columns.explanation !== null || explanationColumns.some(name => name in values)) return undefined
  return ['conversations', 'messages'].find(name => Array.isArray(values[name]))
}

const explanationColumns = ['explanation', 'reasoning_trace'] as const

function fromColumns(raw: RawRow, columns: TraceColumns, path: string): Trace {
  const text = (key: 'question' | 'solution' | 'explanation', usual: readonly string[]) =>
    textColumn(raw, columns[key] ?? usual.find(name => name in raw.values) ?? usual[0]!, `${path}.${key}`)
  const explanation = text('explanation', explanationColumns)
  const written = splitTagged(explanation)
  return {
    question: text('question', ['question', 'problem', 'prompt']).trim(),
    solution: untagged(text('solution', ['solution'])),
    // A trace may be stored with the tags that it was written in; those of the format take their place.
    explanation: (written?.thought ?? explanation).trim(),
    origin: raw.origin,
  }
}

function fromConversation(raw: RawRow, column: DataColumn, option: string): Trace {
  const name = typeof column === 'string' ? column : column.column
  const turns = columnValue(raw, name, option)
  if (!Array.isArray(turns))
    throw new DataError(`${raw.origin}: column ${name} holds no list; expected the turns of a conversation`)
  const textOf = (role: 'user' | 'assistant', speakers: readonly string[]) => {
    const turn = turns.map(asTurn).find(turn => speakers.includes(turn.speaker))
    if (turn === undefined || turn.text.trim() === '')
      throw new DataError(`${raw.origin}: column ${name} has no turn of the ${role} that says something`)
    return turn.text
  }
  const question = textOf('user', ['user', 'human']).trim()
  const { thought, rest } = splitTagged(textOf('assistant', ['assistant', 'gpt'])) ?? {}
  if (thought === undefined || rest === undefined)
    throw new DataError(
      `${raw.origin}: column ${name}: the assistant's turn does not tell explanation and solution apart; expected ` +
        `${thoughtTags.map(([open, close]) => `${open}…${close}`).join(' or ')}, and the solution after it`,
    )
  const solution = untagged(rest)
  for (const [part, text] of Object.entries({ explanation: thought, solution }))
    if (text.trim() === '')
      throw new DataError(`${raw.origin}: column ${name}: the ${part} in the assistant's turn is empty`)
  return { question, solution, explanation: thought.trim(), origin: raw.origin }
}

function asTurn(turn: unknown): { speaker: string; text: string } {
  const fields = (turn !== null && typeof turn === 'object' ? turn : {}) as Record<string, unknown>
  const text = fields.value ?? fields.content
  return { speaker: String(fields.from ?? fields.role ?? ''), text: typeof text === 'string' ? text : '' }
}

const thoughtTags = [
  ['<|begin_of_thought|>', '<|end_of_thought|>'],
  ['<think>', '</think>'],
] as const

const solutionTags = [
  ['<|begin_of_solution|>', '<|end_of_solution|>'],
  ['<solution>', '</solution>'],
  ['<answer>', '</answer>'],
] as const

/** The thought between its tags and what comes after it; undefined where there are no such tags. */
function splitTagged(text: string): { thought: string; rest: string } | undefined {
  for (const [open, close] of thoughtTags) {
    const end = text.indexOf(close)
    if (end < 0) continue
    // Some chat templates write the opening tag themselves, and data sets made with them lack it.
    const opened = text.indexOf(open)
    const start = opened >= 0 && opened < end ? opened + open.length : 0
    return { thought: text.slice(start, end), rest: text.slice(end + close.length) }
  }
  return undefined
}

/** A solution without the tags around it. */
function untagged(text: string): string {
  const bare = text.trim()
  for (const [open, close] of solutionTags)
    if (bare.startsWith(open)) {
      const end = bare.indexOf(close)
      return bare.slice(open.length, end < 0 ? undefined : end).trim()
    }
  return bare
}
