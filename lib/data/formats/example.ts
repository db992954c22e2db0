/**
 * What is learned from a trace: a prompt, and the completion that the loss is on.
 *
 * The prompt's tokens are those that the model is given when it is sampled from, and what it writes itself is tokenised as
 * one text. So which tokens the loss is on is known without looking for them. The completion ends with the end of the turn:
 * a model has to learn to stop.
 */
import type { FormatConfig } from '../../config/index.js'
import { concatenate } from '../../engine/packing.js'
import type { Tokenizer } from '../../models/index.js'
import type { Trace } from '../traces.js'
import { chatPrompt } from './chat.js'
import { teacherPrompt } from './teacher.js'
import { fill, splitAt } from './template.js'

export interface Example {
  /** No loss is on these. */
  prompt: Int32Array
  completion: Int32Array
}

/**
 * For a teacher: shown question and solution, it writes the explanation. The prompt reaches to the explanation's opening
 * tag; the explanation is closed by the white space that it is opened with, and its end tag.
 */
export function warmupExample(
  trace: Trace,
  format: FormatConfig,
  tokenizer: Tokenizer,
  end: Int32Array,
): Example {
  const space = /\s*$/.exec(format.teacherAssistant)![0]
  const closing = format.endOfExplanation === 'endOfTurn' ? '' : space + format.endOfExplanation.tag
  return {
    prompt: teacherPrompt(trace, format, tokenizer),
    completion: concatenate([tokenizer.encode(trace.explanation + closing), end]),
  }
}

/**
 * For a student: asked the question, it writes its thought and the solution, with the tags around them. What opens the
 * thought is tokenised by itself, as it is where a student is judged or evaluated with its turn opened.
 */
export function distillExample(
  trace: Trace,
  format: FormatConfig,
  tokenizer: Tokenizer,
  end: Int32Array,
): Example {
  const user = fill(format.studentUser, { question: trace.question })
  const [opening] = splitAt(format.studentAssistant, 'explanation', 'solution')
  const rest = fill(format.studentAssistant.slice(opening.length), trace)
  return {
    prompt: tokenizer.encode(chatPrompt(tokenizer, format.studentSystem, user)),
    completion: concatenate([tokenizer.encode(opening), tokenizer.encode(rest), end]),
  }
}

/**
 * The tokens that end an assistant's turn in the model's own chat template, up to the first special one; the end of
 * sequence where the template writes none.
 */
export function endOfTurn(tokenizer: Tokenizer): Int32Array {
  const content = 'END-OF-TURN'
  const text = tokenizer.renderChat([
    { role: 'user', content: 'question' },
    { role: 'assistant', content },
  ])
  const tokens = tokenizer.encode(text.slice(text.lastIndexOf(content) + content.length))
  const special = new Set(tokenizer.specialTokens.values())
  const last = tokens.findIndex(token => special.has(token))
  if (last >= 0) return tokens.slice(0, last + 1)
  const end = tokenizer.endOfSequenceToken
  return Int32Array.from(end === undefined ? [] : [end])
}
