/**
 * Samples that are not quite from the policy that is trained: from another engine, or from weights of another
 * precision. What such a token says of the policy is weighed by how much likelier the policy is to say it,
 * p_trainer / p_sampler, bounded because one such ratio can be anything (Ionides 2008, "Truncated importance sampling").
 * As TRL's `vllm_importance_sampling_mode` token_truncate and token_mask, and verl's `rollout_is` at the level of tokens.
 */
import type { AlgorithmConfig } from '../../config/index.js'
import type { PerToken } from '../../engine/index.js'

export interface ImportanceSampling {
  /** `[group][completion][token]`, from 0 to the cap: factors of the policy's term, not of the KL divergence. */
  weights: Float32Array[][]
  /** Mean of the weights as they are used. */
  mean: number
  /** Fraction of tokens whose ratio is above the cap. */
  capped: number
}

/**
 * @param sampled log-probabilities as the sampler gave them
 * @param recomputed those of the same tokens by the policy as it is before the step's first update
 * @returns undefined where nothing is to be corrected
 */
export function importanceSampling(
  sampled: PerToken,
  recomputed: PerToken,
  { correct, cap }: AlgorithmConfig['importanceSampling'],
): ImportanceSampling | undefined {
  if (correct === 'none') return undefined
  const aboveCap = correct === 'truncated' ? cap : 0
  let [sum, capped, tokens] = [0, 0, 0]
  const weights = sampled.map((group, g) =>
    group.map((completion, c) =>
      completion.map((logProb, t) => {
        const ratio = Math.exp(recomputed[g]![c]![t]! - logProb)
        const weight = ratio > cap ? aboveCap : ratio
        capped += Number(ratio > cap)
        sum += weight
        tokens++
        return weight
      }),
    ),
  )
  return { weights, mean: sum / Math.max(1, tokens), capped: capped / Math.max(1, tokens) }
}
