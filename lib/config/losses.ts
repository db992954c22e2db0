/** The losses of `algorithm.loss`, and what the options beside it are where a configuration does not say. */
export interface LossDefaults {
  clipLow: number
  clipHigh: number
  scaleAdvantages: boolean
  klIn: 'loss' | 'reward'
  dynamicSamplingRounds: number
}

const grpo: LossDefaults = {
  clipLow: 0.2,
  clipHigh: 0.2,
  scaleAdvantages: true,
  klIn: 'loss',
  dynamicSamplingRounds: 0,
}

/**
 * What each loss is, is said in `stages/train/loss.ts`. Where the numbers are from:
 * - dapo: clip-higher, 0.28 (arXiv 2503.14476, section 4.1); its paper bounds dynamic sampling by nothing, verl's recipe
 *   of it by 10 rounds (`max_num_gen_batches`).
 * - gspo: 3e-4 and 4e-4 (arXiv 2507.18071, section 5.1): ratios of whole sequences differ far less from 1.
 * - cispo: no lower bound (arXiv 2506.13585, section 3.1); its paper does not give the upper one, 5 is that of ScaleRL
 *   (arXiv 2510.13786).
 */
export const lossDefaults = {
  grpo,
  'dr-grpo': { ...grpo, scaleAdvantages: false },
  dapo: { ...grpo, clipHigh: 0.28, dynamicSamplingRounds: 10 },
  gspo: { ...grpo, clipLow: 3e-4, clipHigh: 4e-4 },
  cispo: { ...grpo, clipLow: 1, clipHigh: 4 },
  rloo: { ...grpo, scaleAdvantages: false, klIn: 'reward' },
  'reinforce++': { ...grpo, klIn: 'reward' },
} satisfies Record<string, LossDefaults>

export type LossName = keyof typeof lossDefaults
export const lossNames = Object.keys(lossDefaults) as LossName[]
