/** The reward of a run: the teacher reward of several students, and the user's own terms. */
import { type TeacherRewardInput, type TeacherRewardOptions, teacherReward } from './teacherReward.js'

export interface StudentScore extends TeacherRewardInput {
  /** This student's share, relative to the others'. */
  weight: number
}

export interface TermScore {
  name: string
  weight: number
  value: number
}

export interface ComposedReward {
  /** NaN if a term is: such a completion is left out of its group's advantages. */
  reward: number
  /** `understanding`, `naturalness` and each term by its name: their values before coefficients and weights. */
  parts: Record<string, number>
}

/**
 * The weighted mean of the students' teacher rewards, plus weight * value of each term.
 * The parts are the weighted means of the students' parts.
 */
export function composeReward(
  students: readonly StudentScore[],
  terms: readonly TermScore[],
  options: TeacherRewardOptions,
): ComposedReward {
  const total = students.reduce((sum, student) => sum + student.weight, 0)
  let reward = 0
  const parts: Record<string, number> = students.length > 0 ? { understanding: 0, naturalness: 0 } : {}
  for (const { weight, ...input } of students) {
    const share = weight / total
    const judged = teacherReward(input, options)
    reward += share * judged.reward
    parts.understanding! += share * judged.parts.understanding
    parts.naturalness! += share * judged.parts.naturalness
  }
  for (const { name, weight, value } of terms) {
    reward += weight * value
    parts[name] = value
  }
  return { reward, parts }
}

/** The reward of an explanation that was not ended. No student and no term looks at it. */
export function missingEndReward(options: { missingEnd: number }): ComposedReward {
  return { reward: options.missingEnd, parts: {} }
}
