import { type ReductionWeights, weightedReductions } from './reductions.js'

export interface UnderstandingOptions extends ReductionWeights {
  /** none, or exp: probabilities in place of log-probabilities. */
  normalise?: 'none' | 'exp'
  /** Log-probabilities (or what normalise makes of them) below -clip count as -clip; null is off. */
  clip?: number | null
}

/**
 * r_SS: how well the student predicts the solution after it read the explanation.
 *
 * @param solutionLogProbs the student's log-probability of each token of the solution, in nats
 * @param ifNaN the value of a reduction that is NaN: an empty solution, or a NaN among its tokens
 * @returns with the default weights, their mean + 0.01 times the least of them
 */
export function understanding(
  solutionLogProbs: ArrayLike<number>,
  options: UnderstandingOptions,
  ifNaN: number,
): number {
  const { normalise = 'none', clip = null } = options
  const values = Float64Array.from(solutionLogProbs, logProb => {
    const value = normalise === 'exp' ? Math.exp(logProb) : logProb
    return clip === null ? value : Math.max(value, -clip)
  })
  return weightedReductions(values, options, ifNaN)
}
