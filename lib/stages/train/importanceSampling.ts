/**
 * Samples that are not quite from the policy that is trained: from another engine, or from weights of another
 * precision. What such a token says of the policy is weighed by how much likelier the policy is to say it,
 * p_trainer / p_sampler, bounded because one such ratio can be anything (Ionides 2008, "Truncated importance sampling").
 * As TRL's `vllm_importance_sampling_mode` token_truncate and token_mask, and verl's `rollout_is` at the level of tokens.
 */
import type { TrainConfig } from '../../config/index.js'
import type { PerToken } from '../../engine/index.js'

export interface ImportanceSampling {
  /** `[group][completion][token]`, from 0 to the cap: factors of the policy's term, not of the KL divergence. */
  weights: Float32Array[][]
  /** Mean of the weights as they are used. */
  mean: number
  /** Mean and largest of the ratios before they are bounded; tokens whose sampler's probability is unknown aside. */
  ratioMean: number
  ratioMax: number
  /** Fraction of tokens whose ratio is above the cap. */
  capped: number
}

export interface Correction {
  correct: 'none' | 'truncated' | 'masked'
  cap: number
}

/** `auto` corrects the samples of a server. */
export function correctionOf({
  algorithm,
  sampling,
}: Pick<TrainConfig, 'algorithm' | 'sampling'>): Correction {
  const { correct, cap } = algorithm.importanceSampling
  if (correct !== 'auto') return { correct, cap }
  return { correct: sampling.server === null ? 'none' : 'truncated', cap }
}

/**
 * @param sampled log-probabilities as the sampler gave them; NaN where it did not, which counts as a ratio of 1
 * @param recomputed those of the same tokens by the policy as it is before the step's first update
 * @returns undefined where nothing is to be corrected
 */
export function importanceSampling(
  sampled: PerToken,
  recomputed: PerToken,
  { correct, cap }: Correction,
): ImportanceSampling | undefined {
  if (correct === 'none') return undefined
  const aboveCap = correct === 'truncated' ? cap : 0
  let [sum, capped, tokens, ratios, known, ratioMax] = [0, 0, 0, 0, 0, 0]
  const weights = sampled.map((group, g) =>
    group.map((completion, c) =>
      completion.map((logProb, t) => {
        const isKnown = !Number.isNaN(logProb)
        const ratio = isKnown ? Math.exp(recomputed[g]![c]![t]! - logProb) : 1
        if (isKnown) {
          ratios += ratio
          known++
          ratioMax = Math.max(ratioMax, ratio)
        }
        const weight = ratio > cap ? aboveCap : ratio
        capped += Number(ratio > cap)
        sum += weight
        tokens++
        return weight
      }),
    ),
  )
  return {
    weights,
    mean: sum / Math.max(1, tokens),
    ratioMean: ratios / known,
    ratioMax: known > 0 ? ratioMax : Number.NaN,
    capped: capped / Math.max(1, tokens),
  }
}
