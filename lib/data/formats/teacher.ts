/** What the teacher reads, and what of its completion is the explanation. */
import type { FormatConfig } from '../../config/index.js'
import type { Tokenizer } from '../../models/index.js'
import type { Row } from '../row.js'
import { chatPrompt } from './chat.js'
import { fill } from './template.js'

/** The tokens that the teacher continues with its explanation. */
export function teacherPrompt(row: Question, format: FormatConfig, tokenizer: Tokenizer): Int32Array {
  return tokenizer.encode(teacherPromptText(row, format, tokenizer))
}

/** The text of the same. */
export function teacherPromptText(row: Question, format: FormatConfig, tokenizer: Tokenizer): string {
  const { system, user, assistant } = teacherTurns(row, format)
  return chatPrompt(tokenizer, system, user) + assistant
}

/** What is said before the explanation, by whom. The assistant's turn goes on with it; an empty one is not begun. */
export function teacherTurns({ question, solution }: Question, format: FormatConfig) {
  return {
    system: format.teacherSystem,
    user: fill(format.teacherUser, { question, solution }),
    assistant: fill(format.teacherAssistant, { question, solution }),
  }
}

type Question = Pick<Row, 'question' | 'solution'>

/** What ends a sample: the end tag of the format, and the model's own end of a turn in any case. */
export function stopsOf(format: FormatConfig, endOfSequenceTokens: readonly number[]): (string | number)[] {
  return format.endOfExplanation === 'endOfTurn'
    ? [...endOfSequenceTokens]
    : [format.endOfExplanation.tag, ...endOfSequenceTokens]
}

export interface Explanation {
  /** The tokens of the completion that lie wholly before its end, as they were sampled. */
  tokens: Int32Array
  /**
   * Text of a token that begins in the explanation and reaches into the end tag (`.<`): a student reads it, but it is
   * not scored, for it is no token of either's.
   */
  rest: string
  /** Whether its end was found. If not, `tokens` are all of the completion. */
  ended: boolean
}

/**
 * Cuts a completion where the explanation ends.
 * @param completion as sampled with {@link stopsOf}: if there is an end tag, it is at the end
 * @param stopped whether the sample was ended by a stop token or text
 */
export function explanationOf(
  completion: Int32Array,
  stopped: boolean,
  format: FormatConfig,
  tokenizer: Tokenizer,
): Explanation {
  if (format.endOfExplanation !== 'endOfTurn')
    return beforeTag(completion, format.endOfExplanation.tag, tokenizer)
  const tokens = stopped ? completion.subarray(0, -1) : completion
  return { tokens, rest: '', ended: stopped }
}

/** The explanation as a student reads it; all of the completion if it was not ended. */
export function textOf({ tokens, rest }: Explanation, tokenizer: Tokenizer): string {
  return tokenizer.decode(tokens) + rest
}

function beforeTag(completion: Int32Array, tag: string, tokenizer: Tokenizer): Explanation {
  // A tag of n characters is spelt by at most 4n tokens (bytes), and a few more complete the character before it.
  const start = Math.max(0, completion.length - 4 * tag.length - 8)
  const textUpTo = (end: number) => tokenizer.decode(completion.subarray(start, end))
  const text = textUpTo(completion.length)
  const tagStart = text.indexOf(tag)
  if (tagStart < 0) return { tokens: completion, rest: '', ended: false }

  let end = completion.length
  while (end > start && !text.slice(0, tagStart).startsWith(textUpTo(end))) end--
  return {
    tokens: completion.subarray(0, end),
    rest: text.slice(textUpTo(end).length, tagStart),
    ended: true,
  }
}
