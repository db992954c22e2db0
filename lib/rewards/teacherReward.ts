import { type NaturalnessOptions, naturalness } from './naturalness.js'
import { type UnderstandingOptions, understanding } from './understanding.js'

/** Log-probabilities in nats, one a token, all at the temperature of the reward. */
export interface TeacherRewardInput {
  /** The student's, of the solution, given the question and the explanation. Tags around it do not count. */
  solutionLogProbs: ArrayLike<number>
  /** The student's, of the explanation, given the question. Not needed where naturalness has coefficient 0. */
  explanationLogProbs?: ArrayLike<number>
  /** The teacher's, of the same tokens, given the question and the solution. */
  teacherLogProbs?: ArrayLike<number>
  /** False if the explanation was cut off before its end: the log-probabilities are not looked at then. */
  ended?: boolean
}

export interface TeacherRewardOptions {
  understanding?: UnderstandingOptions & { coefficient?: number }
  naturalness?: NaturalnessOptions & { coefficient?: number }
  /** The whole reward of an explanation without an end; also what stands in for a NaN. */
  missingEnd?: number
}

export interface TeacherReward {
  reward: number
  /**
   * r_SS and r_KL, before their coefficients; NaN where a part was not computed (no end, coefficient 0).
   */
  parts: { understanding: number; naturalness: number }
}

/** The paper's: r = mean(s) + 0.01 min(s) - 3 (mean(KL) + 0.03 max(KL)), -1 without an end. */
export const teacherRewardDefaults = {
  understanding: { coefficient: 1, mean: 1, min: 0.01 },
  naturalness: { coefficient: 3, mean: 1, max: 0.03, estimator: 'k1' },
  missingEnd: -1,
} as const satisfies TeacherRewardOptions

/**
 * The reward of one explanation (arXiv 2506.08388, section 3; github.com/SakanaAI/RLT, trainers/teacher_rewards.py):
 * understanding.coefficient * r_SS - naturalness.coefficient * r_KL.
 *
 * A reduction that is NaN (an empty explanation has no mean) counts as if the explanation had not been ended:
 * as `missingEnd` in r_SS and as `-missingEnd` in r_KL. An infinite one stays infinite.
 * Options of a part replace the default ones of that part together: `{ understanding: { mean: 1 } }` has no minimum.
 *
 * @throws {DataError} explanationLogProbs and teacherLogProbs are not of the same length
 */
export function teacherReward(
  { solutionLogProbs, explanationLogProbs = [], teacherLogProbs = [], ended = true }: TeacherRewardInput,
  options: TeacherRewardOptions = {},
): TeacherReward {
  const missingEnd = options.missingEnd ?? teacherRewardDefaults.missingEnd
  const parts = { understanding: Number.NaN, naturalness: Number.NaN }
  if (!ended) return { reward: missingEnd, parts }

  const u = options.understanding ?? teacherRewardDefaults.understanding
  const n = options.naturalness ?? teacherRewardDefaults.naturalness
  let reward = 0
  const { coefficient: understandingCoefficient = 1 } = u
  if (understandingCoefficient !== 0) {
    parts.understanding = understanding(solutionLogProbs, u, missingEnd)
    reward += understandingCoefficient * parts.understanding
  }
  const { coefficient: naturalnessCoefficient = 1 } = n
  if (naturalnessCoefficient !== 0) {
    parts.naturalness = naturalness(teacherLogProbs, explanationLogProbs, n, -missingEnd)
    reward -= naturalnessCoefficient * parts.naturalness
  }
  return { reward, parts }
}
