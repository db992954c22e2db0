/** The frozen models that judge explanations. */
import type { RewardConfig } from '../../config/index.js'
import type { Model } from '../../engine/index.js'
import { ConfigurationError } from '../../errors.js'

export interface Student {
  /** As the configuration calls it. */
  name: string
  model: Model
  weight: number
  /** Whether its tokens are the teacher's. If not, only its understanding can be measured. */
  sharesTokenizer: boolean
}

/** @throws {ConfigurationError} naturalness is wanted of a student whose tokens are not the teacher's */
export function checkNaturalness(
  student: Pick<Student, 'name' | 'sharesTokenizer'>,
  teacher: string,
  reward: RewardConfig,
): void {
  if (student.sharesTokenizer || reward.naturalness.coefficient === 0) return
  throw new ConfigurationError(
    `The student ${student.name} has another tokenizer than the teacher ${teacher}.\n` +
      'What this allows: understanding, for the student reads the explanation as text and is scored on the tokens of ' +
      'the solution, which are its own.\n' +
      'What this forbids: naturalness, which compares the log-probabilities of teacher and student token by token; ' +
      'their tokens are not the same.\n' +
      'Either take a student with the same tokenizer (one of the same model family), or go without naturalness: ' +
      '--set reward.naturalness.coefficient=0',
  )
}
