/** What a student reads: the question, the explanation and the solution, in tokens whose places are known. */
import type { FormatConfig } from '../../config/index.js'
import type { Tokenizer } from '../../models/index.js'
import type { Row } from '../row.js'
import { chatPrompt } from './chat.js'
import type { Explanation } from './teacher.js'
import { splitAt } from './template.js'

/** Tokens `start` … `end - 1`. */
export interface Span {
  start: number
  end: number
}

export interface StudentView {
  /** The explanation, the text between, the solution. What would follow is left out: nothing before depends on it. */
  suffix: Int32Array
  /** The explanation in `suffix`; without the tags around it, which do not count in the reward. */
  explanation: Span
  /** The solution in `suffix`; without its tags, as in the reference code. */
  solution: Span
}

/**
 * A student's view of the explanations of one question. What they share, down to the opening of the thought, is the
 * prefix, so that it is computed once.
 *
 * The text is put together of pieces that are tokenised apart from each other. So the explanation's tokens stay those
 * that were sampled, the teacher's and the student's log-probabilities are of the same tokens, and each span's place
 * is known without looking for it. The seams may cost a student a little probability (`.` then `\n\n` where it would
 * have written `.\n\n`), the same for all explanations of a group.
 *
 * An explanation keeps the white space that it ends with, which is scored as all of it; the format then does not write
 * the same once more.
 */
export class StudentFormat {
  readonly prefix: Int32Array
  private readonly between: string
  private readonly solution: Int32Array

  constructor(
    row: Row,
    format: FormatConfig,
    private readonly tokenizer: Tokenizer,
  ) {
    const [before, between] = splitAt(format.studentAssistant, 'explanation', 'solution')
    const user = format.studentUser.replace('{question}', () => row.question)
    this.prefix = tokenizer.encode(chatPrompt(tokenizer, format.studentSystem, user) + before)
    this.between = between
    this.solution = tokenizer.encode(row.solution)
  }

  /** The view with the explanation's tokens as they were sampled by a teacher of the same tokenizer. */
  view({ tokens, rest }: Pick<Explanation, 'tokens' | 'rest'>): StudentView {
    // The tail is enough to know how it ends: a token of white space alone is seldom shorter than the format's.
    return this.join(tokens, rest, this.tokenizer.decode(tokens.subarray(-8)) + rest)
  }

  /** The view with the explanation's text, for a student that has another tokenizer than the teacher. */
  viewOfText(explanation: string): StudentView {
    return this.join(this.tokenizer.encode(explanation), '', explanation)
  }

  /** The most tokens that prefix and suffix have for an explanation of so many tokens. */
  lengthWith(explanationTokens: number): number {
    return (
      this.prefix.length +
      explanationTokens +
      this.tokenizer.encode(this.between).length +
      this.solution.length
    )
  }

  private join(explanation: Int32Array, rest: string, ending: string): StudentView {
    const between = this.tokenizer.encode(rest + withoutRepeatedSpace(ending, this.between))
    const solutionStart = explanation.length + between.length
    const suffix = new Int32Array(solutionStart + this.solution.length)
    suffix.set(explanation)
    suffix.set(between, explanation.length)
    suffix.set(this.solution, solutionStart)
    return {
      suffix,
      explanation: { start: 0, end: explanation.length },
      solution: { start: solutionStart, end: suffix.length },
    }
  }
}

/** `next` without the white space at its start that `text` ends with already. */
function withoutRepeatedSpace(text: string, next: string): string {
  const space = /^\s*/.exec(next)![0]
  for (let length = space.length; length > 0; length--)
    if (text.endsWith(space.slice(0, length))) return next.slice(length)
  return next
}
