/** Advantages: how much better a completion is than the others of its group, or of its batch. */
export interface AdvantageOptions {
  /** Added to the standard deviation before dividing. */
  epsilon?: number
  /** Divide by the standard deviation; false only subtracts the mean. */
  scale?: boolean
}

export interface GroupAdvantages {
  /** One a completion; 0 for a completion whose reward is not finite. */
  advantages: Float32Array
  mean: number
  /** Of a sample (n - 1 in the denominator), as torch's and the reference code's. */
  standardDeviation: number
  /** All finite rewards of the group are equal, or there are fewer than two: there is nothing to learn from it. */
  zeroVariance: boolean
  /** Completions left out because their reward is NaN or infinite. */
  excluded: number
}

/**
 * GRPO (arXiv 2402.03300, section 4.1.2): (r - mean) / (standard deviation + epsilon) over the completions of one group.
 *
 * A completion whose reward is not finite enters neither the mean nor the standard deviation, and its advantage is
 * 0: it is neither encouraged nor discouraged, and does not spoil its group.
 */
export function groupAdvantages(
  rewards: ArrayLike<number>,
  { epsilon = 1e-4, scale = true }: AdvantageOptions = {},
): GroupAdvantages {
  const finite = Array.from(rewards).filter(Number.isFinite)
  const mean = finite.reduce((sum, r) => sum + r, 0) / finite.length
  const squares = finite.reduce((sum, r) => sum + (r - mean) ** 2, 0)
  // Compared exactly: the rounding of the mean would make tiny differences of equal rewards, and large advantages.
  const zeroVariance = finite.every(r => r === finite[0])
  const standardDeviation = zeroVariance ? 0 : Math.sqrt(squares / (finite.length - 1))
  const divisor = scale ? standardDeviation + epsilon : 1
  const advantages = Float32Array.from(rewards, r =>
    zeroVariance || !Number.isFinite(r) ? 0 : (r - mean) / divisor,
  )
  return { advantages, mean, standardDeviation, zeroVariance, excluded: rewards.length - finite.length }
}

/**
 * REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740): the reward of a completion less the mean
 * of the others' of its group, which is (r - mean) * n / (n - 1). What is not finite is left out as in GRPO's.
 */
export function leaveOneOutAdvantages(rewards: ArrayLike<number>): GroupAdvantages {
  const group = groupAdvantages(rewards, { scale: false })
  const compared = rewards.length - group.excluded
  return {
    ...group,
    advantages: group.advantages.map(advantage => (advantage * compared) / Math.max(1, compared - 1)),
  }
}

/**
 * REINFORCE++ (Hu et al. 2025, arXiv 2501.03262, eq. 10):
 * (A - mean) / (standard deviation + epsilon), both over all tokens of the batch.
 *
 * @param returns `[completion][token]`: the reward, less what counts against that token and those that follow it
 * @returns the same shape; 0 for each token of a completion that has a return that is not finite, and for all if all
 *   others are equal
 */
export function batchAdvantages(
  returns: readonly (readonly number[])[],
  { epsilon = 1e-4, scale = true }: AdvantageOptions = {},
): Float32Array[] {
  const finite = returns.map(completion => completion.every(Number.isFinite))
  const all = returns.filter((_, c) => finite[c]).flat()
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length
  const squares = all.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const divisor = scale ? Math.sqrt(squares / (all.length - 1)) + epsilon : 1
  const equal = all.every(value => value === all[0])
  return returns.map((completion, c) =>
    Float32Array.from(completion, value => (equal || !finite[c] ? 0 : (value - mean) / divisor)),
  )
}
