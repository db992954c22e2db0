import type { ComposedReward } from '../../rewards/index.js'
import type { ExplanationGroup } from '../shared/sampling.js'
import { type PerCompletion, scoreExplanations as score } from '../shared/scoring.js'
import type { Session } from './session.js'

/** The reward of every explanation of a step. */
export async function scoreExplanations(
  groups: readonly ExplanationGroup[],
  session: Session,
  step: number,
): Promise<PerCompletion<ComposedReward>> {
  const students = session.students.length
  // What a server drew with is not what the teacher thinks of it.
  const own = session.server ? groups.map(group => ({ ...group, logProbs: undefined })) : groups
  return score(own, session, share => session.run.phase('score', step, share * students, students))
}
