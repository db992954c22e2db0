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
 * Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300, eq. 3 and 4): the sum over tokens of
 * weight * (-min(ratio A, clip(ratio, 1 - clipLow, 1 + clipHigh) A) + beta * k3), with
 * ratio = exp(log p - log p_old) and k3 = exp(log p_ref - log p) - (log p_ref - log p) - 1.
 */
export interface GrpoLoss {
  kind: 'grpo'
  weights: PerToken
  /** One advantage a suffix: `[group][suffix]`. */
  advantages: readonly (Float32Array | readonly number[])[]
  /** Log-probabilities under the policy that sampled. Absent when that is this very model: the ratio is 1. */
  oldLogProbs?: PerToken | undefined
  /** Log-probabilities under the reference model. Absent: no KL term. */
  referenceLogProbs?: PerToken | undefined
  beta: number
  clipLow: number
  clipHigh: number
}

export type Loss = SftLoss | GrpoLoss

export interface LossStatistics {
  /** The loss as defined, summed over all tokens. */
  loss: number
  /** Tokens with a weight other than 0. */
  tokens: number
  /** Mean of k3 over those tokens; 0 without reference log-probabilities. */
  klReference: number
  /** Mean probability ratio; 0 for the SFT loss. */
  ratioMean: number
  /** Fraction of tokens whose gradient was clipped away. */
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
  })
}

/** The part of a loss that concerns one pack. */
export function lossOfPack(pack: Pack, loss: Loss): NativeLoss {
  const weights = gather(pack, loss.weights)
  if (loss.kind === 'sft') return { kind: 'sft', weights }
  const advantages = new Float32Array(pack.suffixTokens)
  let place = 0
  for (const { group, suffix, length } of pack.members) {
    advantages.fill(loss.advantages[group]![suffix]!, place, place + length)
    place += length
  }
  const { beta, clipLow, clipHigh } = loss
  return {
    ...{ kind: 'grpo', weights, advantages, beta, clipLow, clipHigh },
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
    klReference: mean(sum(part => part.klReferenceSum)),
    ratioMean: mean(sum(part => part.ratioSum)),
    clipFraction: mean(sum(part => part.clipped)),
    logProbs,
  }
}
