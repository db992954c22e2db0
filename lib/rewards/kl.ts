import { DataError } from '../errors.js'

/**
 * Estimators of the KL divergence of p from q from the log-probabilities of tokens drawn from p
 * (http://joschu.net/blog/kl-approx.html, with r = q / p):
 * - k1 = -log r: unbiased, of either sign;
 * - k3 = r - 1 - log r: unbiased too, never negative, of less variance.
 */
export type KlEstimator = 'k1' | 'k3'

/**
 * @param p log-probabilities of the sampled tokens under the policy that they were sampled from
 * @param q those of the same tokens under the other policy
 * @returns one estimate a token, in nats
 */
export function klPerToken(p: ArrayLike<number>, q: ArrayLike<number>, estimator: KlEstimator): Float64Array {
  if (p.length !== q.length)
    throw new DataError(
      `A KL divergence compares the same tokens under two policies: got ${p.length} log-probabilities of the one ` +
        `and ${q.length} of the other; expected as many`,
    )
  return Float64Array.from({ length: p.length }, (_, i) => {
    const k1 = p[i]! - q[i]!
    return estimator === 'k1' ? k1 : k1 - 1 + Math.exp(-k1)
  })
}
