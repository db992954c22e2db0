import { EngineError } from '../errors.js'
import type { NativeLoss, NativeLossStatistics } from './addon.js'
import { gather, type Pack } from './packing.js'
import type { PerToken, TokenGroup } from './types.js'

/** Supervised fine-tuning: the sum over tokens of -weight * log p. */
export interface SftLoss {
  kind: 'sft'
  /** One weight a suffix token; 0 leaves a token out. */
  weights: PerToken
}

/**
 * The policy losses of the family of GRPO (Shao et al. 2024, arXiv 2402.03300, eq. 3 and 4): the sum over tokens of
 * weight * (-min(ratio A, clip(ratio, 1 - clipLow, 1 + clipHigh) A) + beta * k3), with
 * ratio = exp(log p - log p_old) and k3 = exp(log p_ref - log p) - (log p_ref - log p) - 1.
 *
 * What tells its members apart is `ratioLevel`, `clipping`, the weights and the advantages.
 */
export interface GrpoLoss {
  kind: 'grpo'
  weights: PerToken
  /** `[group][suffix]`: one advantage for all tokens of a suffix, or one for each. */
  advantages: readonly (Float32Array | readonly (number | Float32Array)[])[]
  /** Log-probabilities under the policy that sampled. Absent when that is this very model: the ratio is 1. */
  oldLogProbs?: PerToken | undefined
  /** Log-probabilities under the reference model. Absent: no KL term. */
  referenceLogProbs?: PerToken | undefined
  beta: number
  clipLow: number
  clipHigh: number
  /**
   * What a ratio is of: a token, or a whole suffix, exp(mean(log p - log p_old)) over its tokens of a weight other than
   * 0 (GSPO, Zheng et al. 2025, arXiv 2507.18071, eq. 7). Default token.
   */
  ratioLevel?: 'token' | 'sequence'
  /**
   * surrogate: as above (PPO, Schulman et al. 2017, arXiv 1707.06347, eq. 7). weight: the clipped ratio is a constant
   * that weighs log p, -stopgradient(clip(ratio)) A log p (CISPO, MiniMax 2025, arXiv 2506.13585, eq. 4 and 5), so that
   * no token is without a gradient. Default surrogate.
   */
  clipping?: 'surrogate' | 'weight'
}

export type Loss = SftLoss | GrpoLoss

export interface LossStatistics {
  /** The loss as defined, summed over all tokens. */
  loss: number
  /** Tokens with a weight other than 0. */
  tokens: number
  /** Mean over those tokens of the entropy of the distribution each was drawn from, in nats, at the call's temperature. */
  entropy: number
  /** Mean of k3 over those tokens; 0 without reference log-probabilities. */
  klReference: number
  /** Mean probability ratio; 0 for the SFT loss. */
  ratioMean: number
  /** Fraction of tokens whose gradient was clipped away; of tokens whose weight was clipped where that is clipped. */
  clipFraction: number
  /** What the model gives each suffix token, computed on the way: `[group][suffix]`. */
  logProbs: Float32Array[][]
}

/** Checks every array of a loss against the token groups. Throws an EngineError ERR_SHAPE naming the first misfit. */
export function checkLoss(groups: readonly TokenGroup[], loss: Loss): void {
  const check = (name: string, values: PerToken | undefined) => {
    if (!values) return
    for (const [g, group] of groups.entries()) {
      for (const [s, suffix] of group.suffixes.entries()) {
        const length = values[g]?.[s]?.length
        if (length === suffix.length) continue
        throw new EngineError(
          'ERR_SHAPE',
          `loss.${name}[${g}][${s}] has ${length ?? 'no'} values; that suffix has ${suffix.length} tokens, and each needs one.`,
        )
      }
    }
  }
  check('weights', loss.weights)
  if (loss.kind === 'sft') return
  check('oldLogProbs', loss.oldLogProbs)
  check('referenceLogProbs', loss.referenceLogProbs)
  groups.forEach((group, g) => {
    if (loss.advantages[g]?.length !== group.suffixes.length) {
      throw new EngineError(
        'ERR_SHAPE',
        `loss.advantages[${g}] has ${loss.advantages[g]?.length ?? 'no'} values; that group has ${group.suffixes.length} suffixes, and each needs one.`,
      )
    }
    group.suffixes.forEach((suffix, s) => {
      const advantage = loss.advantages[g]![s]!
      if (typeof advantage === 'number' || advantage.length === suffix.length) return
      throw new EngineError(
        'ERR_SHAPE',
        `loss.advantages[${g}][${s}] has ${advantage.length} values; that suffix has ${suffix.length} tokens, and it needs one for all or one for each.`,
      )
    })
  })
}

/** The part of a loss that concerns one pack. */
export function lossOfPack(pack: Pack, loss: Loss): NativeLoss {
  const weights = gather(pack, loss.weights)
  if (loss.kind === 'sft') return { kind: 'sft', weights }
  const advantages = new Float32Array(pack.suffixTokens)
  let place = 0
  for (const { group, suffix, length } of pack.members) {
    const advantage = loss.advantages[group]![suffix]!
    if (typeof advantage === 'number') advantages.fill(advantage, place, place + length)
    else advantages.set(advantage, place)
    place += length
  }
  const { beta, clipLow, clipHigh, ratioLevel = 'token', clipping = 'surrogate' } = loss
  return {
    ...{ kind: 'grpo', weights, advantages, beta, clipLow, clipHigh, ratioLevel, clipping },
    old: loss.oldLogProbs && gather(pack, loss.oldLogProbs),
    reference: loss.referenceLogProbs && gather(pack, loss.referenceLogProbs),
  }
}

/** Adds up what the packs of one call reported. */
export function combineStatistics(
  parts: readonly NativeLossStatistics[],
  logProbs: Float32Array[][],
): LossStatistics {
  const sum = (pick: (part: NativeLossStatistics) => number) =>
    parts.reduce((total, part) => total + pick(part), 0)
  const tokens = sum(part => part.tokens)
  const mean = (total: number) => (tokens === 0 ? 0 : total / tokens)
  return {
    loss: sum(part => part.loss),
    tokens,
    entropy: mean(sum(part => part.entropySum)),
    klReference: mean(sum(part => part.klReferenceSum)),
    ratioMean: mean(sum(part => part.ratioSum)),
    clipFraction: mean(sum(part => part.clipped)),
    logProbs,
  }
}
