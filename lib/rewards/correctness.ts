/** The reward term `correctness`: whether a completion comes to the right answer. */
import { gradeCountdown, readCountdownQuestion } from '../countdown/index.js'
import { DataError, UsageError } from '../errors.js'
import { answerPart, extractAnswer, gradeAnswer } from '../grading/index.js'
import type { TermInput } from './userModule.js'

/**
 * @param options `kind`: math (the default), choice or countdown, as graders of `rlt evaluate`; `right` and `wrong`: the
 *   values, 1 and 0 by default
 * @returns `right` or `wrong`. Of math and choice, by data's column answer, or else by what stands in a box in the
 *   solution; of countdown, by the numbers and the target in the question
 * @throws {UsageError} an option is none
 * @throws {DataError} the question is no countdown problem as `rlt countdown` words it
 */
export function correctness(input: TermInput, options: Record<string, unknown>): number {
  const { kind = 'math', right = 1, wrong = 0, ...others } = options
  const unknown = Object.keys(others)
  if (unknown.length > 0)
    throw new UsageError(`there is no option ${unknown[0]}; expected kind, right or wrong`)
  if (typeof right !== 'number' || typeof wrong !== 'number')
    throw new UsageError('the options right and wrong: expected numbers')
  return isCorrect(input, kind) ? right : wrong
}

function isCorrect({ question, solution, answer, explanation }: TermInput, kind: unknown): boolean {
  const text = answerPart(explanation)
  if (kind === 'countdown') {
    const problem = readCountdownQuestion(question)
    if (problem === undefined)
      throw new DataError(`this is no countdown problem as rlt countdown words it: ${question.slice(0, 200)}`)
    return gradeCountdown(text, problem.numbers, problem.target).correct
  }
  if (kind !== 'math' && kind !== 'choice')
    throw new UsageError(`the option kind: expected math, choice or countdown, got ${JSON.stringify(kind)}`)
  return gradeAnswer(text, answer ?? extractAnswer(solution, { kind }) ?? solution, { kind }).correct
}
