/** What the caller of `rank` gives and gets. */
import type { RankConfig } from '../../config/index.js'
import type { OutputRow } from '../../data/index.js'
import { reductions } from '../../rewards/index.js'
import type { Score } from './cache.js'

export type RankEvent =
  | { type: 'message'; text: string; level: 'info' | 'warning' }
  /** A batch has its rewards, which are saved; rows are those done since the beginning. */
  | { type: 'batch'; rows: number; totalRows: number; meanReward: number | null }

export interface RankOptions {
  /** Aborting ends the work: the rewards of finished batches are kept, and `rank` returns. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: RankEvent) => void) | undefined
  /** Called with each row of the output, in its order; the next one waits. */
  onRow?: ((row: OutputRow) => void | Promise<void>) | undefined
}

export interface RewardDistribution {
  mean: number
  min: number
  firstQuartile: number
  median: number
  lastQuartile: number
  max: number
}

export interface RankResult {
  /** The files of ranked rows. */
  output: string[]
  /** The drawing of the rewards' distribution, if one was asked for. */
  histogram: string | null
  rows: number
  /** Rows that no model could be asked about. */
  failed: number
  /** Null if no row has a reward. */
  rewards: RewardDistribution | null
  /** Of all rows that have one, in the order of the input. */
  allRewards: Float64Array
  /** False if the work was stopped by its signal. */
  finished: boolean
}

export function resultOf(
  scores: readonly Score[],
  output: string[],
  config: RankConfig,
  finished = true,
): RankResult {
  const allRewards = Float64Array.from(rewardsOf(scores))
  const of = (name: keyof RewardDistribution) => reductions[name](allRewards)
  const rewards =
    allRewards.length === 0
      ? null
      : {
          ...{ mean: of('mean'), min: of('min'), firstQuartile: of('firstQuartile') },
          ...{ median: of('median'), lastQuartile: of('lastQuartile'), max: of('max') },
        }
  return {
    ...{ output, histogram: finished ? config.output.histogram : null },
    ...{ rows: scores.length, failed: scores.length - allRewards.length, rewards, allRewards, finished },
  }
}

export function rewardsOf(scores: readonly Score[]): number[] {
  return scores.flatMap(({ reward }) => reward ?? [])
}
