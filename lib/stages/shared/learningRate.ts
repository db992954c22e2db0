export interface LearningRateCourse {
  /** The highest rate. */
  learningRate: number
  schedule: 'constant' | 'linear' | 'cosine'
  warmupSteps: number
  /** Of the whole run. */
  steps: number
}

/**
 * Of step `step`, from 1: rises from 0 in equal parts, the full rate being that of step `warmupSteps`, and then stays
 * (constant) or falls to 0 after the last step along a line or half a cosine.
 */
export function learningRateAt(
  step: number,
  { learningRate, schedule, warmupSteps, steps }: LearningRateCourse,
): number {
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps
  // Warm-up ends in a step of full rate; without one, the first step is it.
  const first = Math.max(1, warmupSteps)
  const progress = (step - first) / (steps - first + 1)
  switch (schedule) {
    case 'constant':
      return learningRate
    case 'linear':
      return learningRate * (1 - progress)
    case 'cosine':
      return learningRate * 0.5 * (1 + Math.cos(Math.PI * progress))
  }
}
