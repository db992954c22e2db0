/** How much better each explanation is than the others: of the same question, or of the step (reinforce++). */
import type { AlgorithmConfig } from '../../config/index.js'
import type { PerToken } from '../../engine/index.js'
import {
  batchAdvantages,
  type ComposedReward,
  type GroupAdvantages,
  groupAdvantages,
  leaveOneOutAdvantages,
} from '../../rewards/index.js'

export interface StepAdvantages extends GroupAdvantages {
  /** Where a completion's tokens have advantages of their own; `advantages` are then their means. */
  tokenAdvantages?: Float32Array[]
}

export interface AdvantageInput {
  /** `[group][completion]` */
  rewards: readonly (readonly Pick<ComposedReward, 'reward'>[])[]
  /** With the log-probabilities of the policy that sampled. */
  groups: readonly { logProbs: readonly Float32Array[] }[]
  /** Undefined where nothing ties the teacher. */
  referenceLogProbs?: PerToken | undefined
}

export function estimateAdvantages(
  { rewards, groups, referenceLogProbs }: AdvantageInput,
  { algorithm }: { algorithm: AlgorithmConfig },
): StepAdvantages[] {
  const { loss, advantageEpsilon: epsilon, scaleAdvantages: scale } = algorithm
  const penalties = groups.map((group, g) => penaltiesOf(group.logProbs, referenceLogProbs?.[g], algorithm))
  if (loss === 'reinforce++') {
    const lengths = groups.map(group => group.logProbs.map(({ length }) => length))
    return ofStep(rewards, penalties, lengths, { epsilon, scale })
  }
  return rewards.map((group, g) => {
    const penalised = group.map(({ reward }, c) => reward - (penalties[g]?.[c]?.[0] ?? 0))
    return loss === 'rloo' ? leaveOneOutAdvantages(penalised) : groupAdvantages(penalised, { epsilon, scale })
  })
}

/**
 * What is subtracted from the reward at each token of a group's completions: beta times the divergence from there to
 * the end, each token's being k1, log p_old - log p_ref (arXiv 2501.03262, eq. 8 and 9; that of the first token is the
 * whole completion's, as in the reward of arXiv 2402.14740). Undefined where the divergence is not in the reward.
 */
function penaltiesOf(
  sampled: readonly Float32Array[],
  reference: readonly Float32Array[] | undefined,
  { beta, klIn }: AlgorithmConfig,
): number[][] | undefined {
  if (reference === undefined || klIn === 'loss' || beta === 0) return undefined
  return sampled.map((logProbs, c) => {
    const penalties = new Array<number>(logProbs.length)
    let sum = 0
    for (let t = logProbs.length - 1; t >= 0; t--) {
      sum += logProbs[t]! - reference[c]![t]!
      penalties[t] = beta * sum
    }
    return penalties
  })
}

function ofStep(
  rewards: AdvantageInput['rewards'],
  penalties: readonly (number[][] | undefined)[],
  lengths: readonly (readonly number[])[],
  options: { epsilon: number; scale: boolean },
): StepAdvantages[] {
  const returns = rewards.map((group, g) =>
    group.map(({ reward }, c) =>
      Array.from({ length: lengths[g]![c]! }, (_, t) => reward - (penalties[g]?.[c]?.[t] ?? 0)),
    ),
  )
  const all = batchAdvantages(returns.flat(), options).values()
  return rewards.map(group => {
    const tokenAdvantages = group.map(() => all.next().value!)
    return {
      ...groupAdvantages(group.map(({ reward }) => reward)),
      advantages: Float32Array.from(tokenAdvantages, meanOf),
      tokenAdvantages,
    }
  })
}

function meanOf(values: Float32Array): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
