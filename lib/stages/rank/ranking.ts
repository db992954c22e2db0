/** From rewards to places. */

export interface Place {
  /** From 1, the highest reward; null where there is none. */
  rank: number | null
  /** From 1, the best; null where there is no rank, or no partitions. */
  partition: number | null
  /** Whether the row is among those that are kept. */
  kept: boolean
}

/**
 * Equal rewards are ranked in the order of the rows. Partitions are quantiles of the ranks, of equal size but for one
 * row: partition = floor((rank - 1) * partitions / ranked rows) + 1.
 */
export function placesOf(
  rewards: readonly (number | null)[],
  { top, partitions }: { top: number | null; partitions: number | null },
): Place[] {
  const order = rewards.flatMap((reward, i) => (reward === null ? [] : [i]))
  order.sort((a, b) => rewards[b]! - rewards[a]! || a - b)
  const places = rewards.map((): Place => ({ rank: null, partition: null, kept: top === null }))
  for (const [i, row] of order.entries())
    places[row] = {
      rank: i + 1,
      partition: partitions === null ? null : Math.floor((i * partitions) / order.length) + 1,
      kept: top === null || i < top,
    }
  return places
}
