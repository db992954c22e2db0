import type { TrainConfig } from '../../config/index.js'
import { type ComposedReward, type GroupAdvantages, groupAdvantages } from '../../rewards/index.js'

/** How much better each explanation is than the others of the same question. */
export function estimateAdvantages(
  rewards: readonly (readonly ComposedReward[])[],
  { algorithm }: TrainConfig,
): GroupAdvantages[] {
  return rewards.map(group =>
    groupAdvantages(
      group.map(({ reward }) => reward),
      { epsilon: algorithm.advantageEpsilon, scale: algorithm.scaleAdvantages },
    ),
  )
}
