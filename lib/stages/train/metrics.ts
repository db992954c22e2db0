/** A finished step in figures, and its completions as they are kept. */
import { textOf } from '../../data/index.js'
import { peakMemoryBytes } from '../../engine/index.js'
import type { Tokenizer } from '../../models/index.js'
import type { ComposedReward, GroupAdvantages } from '../../rewards/index.js'
import type { CompletionRow, MetricsRow } from '../../runs/index.js'
import type { ExplanationGroup } from '../shared/sampling.js'
import type { CacheUse } from './dynamicSampling.js'
import type { Stopwatch } from './stopwatch.js'
import type { UpdateStatistics } from './update.js'

export interface FinishedStep {
  step: number
  groups: readonly ExplanationGroup[]
  rewards: readonly (readonly ComposedReward[])[]
  /** Groups that dynamic sampling left out; undefined where it is off. */
  replaced: readonly ExplanationGroup[] | undefined
  cache: CacheUse
  advantages: readonly GroupAdvantages[]
  update: UpdateStatistics
  learningRate: number
  /** Updates that the server which sampled was behind the teacher; undefined where there is none. */
  staleness: number | undefined
  clock: Stopwatch
  /** Backward passes, by `passes/POLICY` of checkpointing. */
  passes: Record<string, number>
}

/**
 * One row of metrics.jsonl. Rewards are means over the completions whose reward is finite, `reward/…` over those that
 * were scored; `reward_std` is the mean of the groups' standard deviations; `entropy` is the policy's mean over the
 * completions' tokens, in nats; `completion_tokens` is all tokens that were sampled, and `tokens_per_second` those by the
 * seconds of the whole step. Groups that dynamic sampling left out count in these two only, and in the last two:
 * `peak_cache_bytes` is the most memory that keys and values took while sampling, `preemptions` how often a sample gave
 * its place in it to older ones, to be computed again. `passes/POLICY` is how many backward passes kept activations by
 * which policy of `training.checkpointing`. `importance_ratio_…` are trainer probability / sampler probability before they
 * are bounded; `sampler_staleness` is by how many steps the weights at a `sampling.server` were behind.
 */
export function metricsRow(finished: FinishedStep): MetricsRow {
  const { step, groups, replaced, cache, advantages, update, learningRate, clock, passes } = finished
  const completions = [...groups, ...(replaced ?? [])].flatMap(group => group.suffixes)
  const tokens = completions.reduce((sum, { length }) => sum + length, 0)
  const seconds = clock.seconds()
  return {
    step,
    ...rewardMetrics(finished),
    reward_std: mean(advantages.map(group => group.standardDeviation)),
    zero_variance_groups: advantages.filter(group => group.zeroVariance).length,
    nan_rewards: advantages.reduce((sum, group) => sum + group.excluded, 0),
    ...(replaced ? { replaced_groups: replaced.length } : {}),
    entropy: update.entropy,
    kl_ref: update.klReference,
    loss: update.loss,
    clip_fraction: update.clipFraction,
    ratio_mean: update.ratioMean,
    sampler_trainer_gap: update.samplerTrainerGap,
    ...(update.importance === undefined
      ? {}
      : {
          importance_ratio_mean: update.importance.ratioMean,
          importance_ratio_max: update.importance.ratioMax,
          importance_weight_mean: update.importance.mean,
          importance_weights_capped: update.importance.capped,
        }),
    ...(finished.staleness === undefined ? {} : { sampler_staleness: finished.staleness }),
    completion_tokens: tokens,
    completion_tokens_mean: tokens / completions.length,
    lr: learningRate,
    grad_norm: update.gradNorm,
    skipped_updates: update.skippedUpdates,
    seconds,
    'seconds/sample': clock.seconds('sample'),
    'seconds/score': clock.seconds('score'),
    'seconds/train': clock.seconds('train'),
    tokens_per_second: tokens / seconds,
    peak_memory_bytes: peakMemoryBytes(),
    peak_cache_bytes: cache.peakBytes,
    preemptions: cache.preemptions,
    ...passes,
  }
}

/** `reward`, its parts and `missing_end_fraction`: the same for a step and for a measurement. */
export function rewardMetrics({
  groups,
  rewards,
}: Pick<FinishedStep, 'groups' | 'rewards'>): Record<string, number> {
  const all = rewards.flat()
  const explanations = groups.flatMap(group => group.explanations)
  const names = new Set(['understanding', 'naturalness', ...all.flatMap(({ parts }) => Object.keys(parts))])
  return {
    reward: mean(all.map(({ reward }) => reward)),
    ...Object.fromEntries(
      [...names].map(name => [`reward/${name}`, mean(all.map(({ parts }) => parts[name]))]),
    ),
    missing_end_fraction: explanations.filter(({ ended }) => !ended).length / explanations.length,
  }
}

/** The explanations of a step with what was thought of each. */
export function completionRows(
  groups: readonly ExplanationGroup[],
  rewards: readonly (readonly ComposedReward[])[],
  advantages: readonly GroupAdvantages[],
  tokenizer: Tokenizer,
): CompletionRow[] {
  return groups.flatMap((group, g) =>
    group.suffixes.map((tokens, c) => ({
      origin: group.row.origin,
      sample: c,
      question: group.row.question,
      explanation: textOf(group.explanations[c]!, tokenizer),
      reward: rewards[g]![c]!.reward,
      advantage: advantages[g]!.advantages[c]!,
      parts: rewards[g]![c]!.parts,
      tokens: tokens.length,
      ended: group.explanations[c]!.ended,
      finish: group.finish[c]!,
    })),
  )
}

/** Of the finite values; NaN, which is written as null, if there is none. */
function mean(values: readonly (number | undefined)[]): number {
  const finite = values.filter((value): value is number => value !== undefined && Number.isFinite(value))
  return finite.reduce((sum, value) => sum + value, 0) / finite.length
}
