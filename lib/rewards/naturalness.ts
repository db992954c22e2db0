import { type KlEstimator, klPerToken } from './kl.js'
import { type ReductionWeights, weightedReductions } from './reductions.js'

export interface NaturalnessOptions extends ReductionWeights {
  estimator?: KlEstimator
  /** none, or exp: 1 - exp(-KL) in place of KL, which is at most 1. */
  normalise?: 'none' | 'exp'
  /** KL (or what normalise makes of it) above clip counts as clip; null is off. */
  clip?: number | null
}

/**
 * r_KL: how far the explanation is from what the student would have said by itself. The more, the less natural.
 *
 * @param teacherLogProbs the teacher's log-probability of each token of the explanation, in nats, given the question
 *   and the solution
 * @param explanationLogProbs the student's of the same tokens, given the question only
 * @param ifNaN the value of a reduction that is NaN: an empty explanation, or a NaN among its tokens
 * @returns with the default weights, the mean of KL over the tokens + 0.03 times the greatest
 */
export function naturalness(
  teacherLogProbs: ArrayLike<number>,
  explanationLogProbs: ArrayLike<number>,
  options: NaturalnessOptions,
  ifNaN: number,
): number {
  const { estimator = 'k1', normalise = 'none', clip = null } = options
  const values = klPerToken(teacherLogProbs, explanationLogProbs, estimator).map(kl => {
    const value = normalise === 'exp' ? 1 - Math.exp(-kl) : kl
    return clip === null ? value : Math.min(value, clip)
  })
  return weightedReductions(values, options, ifNaN)
}
