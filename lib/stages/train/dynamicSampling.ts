/**
 * Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2, eq. 11): a question whose explanations all have the same reward
 * teaches nothing, so another takes its place, and is explained and judged in its turn.
 *
 * It is bounded: after `algorithm.dynamicSamplingRounds` rounds such questions stay, with advantages of 0. So a step
 * samples at most (1 + rounds) * promptsPerStep questions. Which questions come in is a function of the step and the
 * round, so that a resumed run takes the same.
 */

import type { SamplingStatistics } from '../../engine/index.js'
import { type ComposedReward, groupAdvantages } from '../../rewards/index.js'
import type { ExplanationGroup } from '../shared/sampling.js'
import { sampleExplanations } from './sampling.js'
import { scoreExplanations } from './scoring.js'
import type { Session } from './session.js'
import type { Stopwatch } from './stopwatch.js'

export interface ScoredGroups {
  groups: ExplanationGroup[]
  /** `[group][completion]` */
  rewards: ComposedReward[][]
  /** Groups that were sampled, scored and left out; undefined where none ever are. */
  replaced: ExplanationGroup[] | undefined
  cache: CacheUse
}

/** Of all sampling of a step. */
export interface CacheUse {
  preemptions: number
  peakBytes: number
}

export async function sampleAndScore(
  session: Session,
  step: number,
  clock: Stopwatch,
): Promise<ScoredGroups> {
  const { questions, config } = session
  const cache: CacheUse = { preemptions: 0, peakBytes: 0 }
  const onStatistics = ({ preemptions, peakCacheBytes }: SamplingStatistics) => {
    cache.preemptions += preemptions
    cache.peakBytes = Math.max(cache.peakBytes, peakCacheBytes)
  }
  const explain = async (requests: ReturnType<typeof questions.ofStep>) => {
    const groups = await clock.time('sample', () =>
      sampleExplanations(requests, session, step, { onStatistics }),
    )
    const rewards = await clock.time('score', () => scoreExplanations(groups, session, step))
    return { groups, rewards }
  }
  const { groups, rewards } = await explain(questions.ofStep(step))
  const replaced: ExplanationGroup[] = []
  for (let round = 1; round <= config.algorithm.dynamicSamplingRounds; round++) {
    const places = rewards.flatMap((group, g) => (teachesNothing(group) ? [g] : []))
    if (places.length === 0) break
    const further = await explain(questions.replacements(step, round, places.length))
    for (const [i, g] of places.entries()) {
      replaced.push(groups[g]!)
      groups[g] = further.groups[i]!
      rewards[g] = further.rewards[i]!
    }
  }
  const isDynamic = config.algorithm.dynamicSamplingRounds > 0
  return { groups, rewards, cache, replaced: isDynamic ? replaced : undefined }
}

function teachesNothing(group: readonly ComposedReward[]): boolean {
  return groupAdvantages(group.map(({ reward }) => reward)).zeroVariance
}
