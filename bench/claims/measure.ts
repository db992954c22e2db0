/**
 * What a student makes of questions that it has not seen: the mean log-probability of a token of the reference solution
 * (natural logarithm, temperature 1), question by question.
 */
import type { FormatConfig } from '../../lib/config/index.js'
import { hashCounters, purposes, type Row, StudentFormat, splitAt } from '../../lib/data/index.js'
import { Model } from '../../lib/engine/index.js'
import type { Tokenizer } from '../../lib/models/index.js'
import { settings } from './settings.js'

/** One value a question. */
export interface Measurement {
  /** The solution stands right behind the question, where the student would begin its thought. */
  direct: number[]
  /** The solution stands behind a thought that the student sampled itself, as in the format that it was distilled in. */
  afterThought: number[]
  /** Tokens of those thoughts. */
  thoughtTokens: number[]
}

export async function measureStudent(
  model: string,
  rows: readonly Row[],
  format: FormatConfig,
  seed: number,
): Promise<Measurement> {
  const student = await Model.load(model)
  try {
    const { tokenizer, configuration } = student
    const formats = rows.map(row => new StudentFormat(row, format, tokenizer))
    const { temperature, maxNewTokens } = settings.thought
    const thoughts = await student.sample(
      formats.map(({ prefix }, place) => ({
        prefix,
        seed: hashCounters(seed, purposes.evaluation, place),
      })),
      // Behind the thought, the format has an empty line: the student's first one ends it, or the end of its turn does.
      { temperature, maxNewTokens, stop: ['\n\n', ...configuration.endOfSequenceTokens] },
    )
    const texts = thoughts.map(({ suffixes: [tokens] }) =>
      tokenizer.decode(tokens!, { skipSpecialTokens: true }).trim(),
    )
    const turns = texts.map((text, i) => turnOf(text, rows[i]!.solution, format, tokenizer))
    const logProbs = await student.logProbs(
      formats.map(({ prefix }, i) => ({
        prefix,
        suffixes: [tokenizer.encode(rows[i]!.solution), turns[i]!.tokens],
      })),
    )
    return {
      direct: logProbs.map(([direct]) => meanOf(direct!)),
      afterThought: logProbs.map(([, turn], i) => meanOf(turn!.subarray(turns[i]!.solutionStart))),
      thoughtTokens: thoughts.map(({ suffixes: [tokens] }) => tokens!.length),
    }
  } finally {
    student.dispose()
  }
}

/** Thought and solution as one text, as students are distilled; the solution's tokens are the last ones. */
export function turnOf(
  thought: string,
  solution: string,
  format: Pick<FormatConfig, 'studentAssistant'>,
  tokenizer: Tokenizer,
) {
  const [, between] = splitAt(format.studentAssistant, 'explanation', 'solution')
  const beforeSolution = thought + between
  const { tokens, offsets } = tokenizer.encodeWithOffsets(beforeSolution + solution)
  const solutionStart = tokens.findIndex((_, i) => offsets[2 * i]! >= beforeSolution.length)
  return { tokens, solutionStart }
}

const meanOf = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length
