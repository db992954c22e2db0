/** What a user should be told while a run goes on, because it will not come out as hoped. */
import type { TrainConfig } from '../../config/index.js'
import type { CompletionRow, MetricsRow } from '../../runs/index.js'

/** @returns messages by the kind of trouble, so that each kind can be told once */
export function adviceOn(
  metrics: MetricsRow,
  completions: readonly CompletionRow[],
  { algorithm, sampling, reward, training }: TrainConfig,
): Record<string, string> {
  const advice: Record<string, string> = {}
  if (metrics.missing_end_fraction === 1)
    advice.noEnd =
      `step ${metrics.step}: no explanation was ended within ${sampling.maxNewTokens} tokens, so none was scored. ` +
      'Allow longer ones (sampling.maxNewTokens), or check that the model knows what ends one (format.endOfExplanation)'
  else if (metrics.zero_variance_groups === training.promptsPerStep && algorithm.loss !== 'reinforce++')
    advice.noVariance = `step ${metrics.step}: all explanations of each question have the same reward, so nothing was learned`

  const ended = completions.filter(row => row.ended).map(row => row.reward as number)
  const mean = ended.filter(Number.isFinite).reduce((sum, r, _, all) => sum + r / all.length, 0)
  if (ended.length > 0 && ended.length < completions.length && reward.missingEnd > mean)
    advice.penaltyTooSmall =
      `step ${metrics.step}: explanations that were ended have a mean reward of ${mean.toFixed(2)}, those that were not ` +
      `get reward.missingEnd, ${reward.missingEnd}, which is more: the teacher will learn not to end. ` +
      `Set reward.missingEnd well below ${mean.toFixed(2)}`
  return advice
}
