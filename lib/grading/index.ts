/** Whether a text comes to the right answer. Nothing in it is ever run as code, and the time it takes is bounded. */
import type { Answer } from './answer.js'
import { sameAnswer } from './compare.js'
import { findAnswers, findChoice } from './extract.js'
import { normaliseLatex } from './latex/normalise.js'
import { parseAnswer } from './latex/parser.js'

export { answerPart } from './extract.js'

export type AnswerKind =
  /** Numbers, expressions, equations, sets, intervals, tuples, matrices, words. */
  | 'math'
  /** The letter of one of several choices, A to J. */
  | 'choice'

export interface GradeOptions {
  /** Default `math`. */
  kind?: AnswerKind
}

export interface Grade {
  correct: boolean
  /** What was taken to be the answer, as it was written; null if none was found. */
  extracted: string | null
}

const choiceLetters = 'ABCDEFGHIJ'

/**
 * What a text gives as its answer: the last box or what stands behind "final answer is" or "####", else behind
 * "answer", else the last formula or number.
 * @returns null if there is none
 */
export function extractAnswer(text: string, { kind = 'math' }: GradeOptions = {}): string | null {
  if (kind === 'choice') return findChoice(text, choiceLetters) ?? null
  return firstReadable(text)?.latex ?? null
}

/**
 * Whether a text comes to an answer.
 *
 * Follows Hugging Face's math-verify: other forms of the same value are right (0.5 for 1/2, 2√2 for √8, x+1 for 1+x),
 * a decimal fraction is compared to six places, lists without order. `scripts/grading-agreement.ts` measures how far
 * the two agree.
 *
 * @param text of a model: all that it wrote
 * @param answer the right one, as LaTeX or plain; what stands behind "####" or in \boxed{} if there is such
 */
export function gradeAnswer(text: string, answer: string, { kind = 'math' }: GradeOptions = {}): Grade {
  if (kind === 'choice') {
    const extracted = findChoice(text, choiceLetters) ?? null
    return { correct: extracted !== null && extracted === rightChoice(answer), extracted }
  }
  const found = firstReadable(text)
  if (found === undefined) return { correct: false, extracted: null }
  const right = rightAnswer(answer)
  const sameText = normaliseLatex(found.latex) === normaliseLatex(right)
  return { correct: sameText || isSame(parseAnswer(right), found.answer), extracted: found.latex }
}

function isSame(right: Answer | undefined, given: Answer | undefined): boolean {
  return right !== undefined && given !== undefined && sameAnswer(right, given)
}

interface Readable {
  latex: string
  /** Undefined where nothing in the text could be read: then only the same text is right. */
  answer: Answer | undefined
}

function firstReadable(text: string): Readable | undefined {
  const found = findAnswers(text)
  // Of a long text without an answer, not every formula is tried.
  for (const latex of found.slice(0, 20)) {
    const answer = parseAnswer(latex)
    if (answer !== undefined) return { latex, answer }
  }
  const [first] = found
  return first === undefined ? undefined : { latex: first, answer: undefined }
}

/** The answer column of GSM8K holds the solution too, and `#### 72` at its end. */
function rightAnswer(answer: string): string {
  const hashes = answer.lastIndexOf('####')
  if (hashes >= 0) return answer.slice(hashes + 4).trim()
  if (/\\boxed\b/.test(answer)) return extractAnswer(answer) ?? answer
  const text = answer.trim()
  return text.length > 2 && text.startsWith('$') && text.endsWith('$') ? text.slice(1, -1) : text
}

function rightChoice(answer: string): string | undefined {
  return /^\W*([A-J])\W*$/.exec(answer)?.[1] ?? findChoice(answer, choiceLetters)
}
