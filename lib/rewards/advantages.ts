/**
 * Advantages of GRPO (arXiv 2402.03300): how much better a completion is than the others of its group.
 */
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
 * (r - mean) / (standard deviation + epsilon) over the completions of one group.
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
