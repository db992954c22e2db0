/** Ranked rows into files, and to whoever listens. */
import { extname, resolve } from 'node:path'
import type { RankConfig } from '../../config/index.js'
import { type Columns, createRowWriter, type OutputRow, type RowWriter } from '../../data/index.js'
import { histogramPage, histogramSvg } from '../../report/index.js'
import { writeFileAtomic } from '../../runs/index.js'
import { partsColumn } from '../shared/scoring.js'
import type { Score } from './cache.js'
import type { Place } from './ranking.js'
import { type RankOptions, rewardsOf } from './result.js'
import { plain, type Trace, type Traces } from './traces.js'

export interface Ranked {
  traces: Traces
  /** One a row, as are the places. */
  scores: readonly Score[]
  places: readonly Place[]
  /** Names of the user's own terms. */
  terms: readonly string[]
}

/** @returns the files, which appear when they are complete */
export async function writeRanked(
  ranked: Ranked,
  config: RankConfig,
  { onRow, signal }: RankOptions,
): Promise<string[]> {
  const files = filesOf(config)
  const writers: RowWriter[] = []
  const write = async (row: OutputRow) => {
    // A row without a reward is in no partition.
    const part = config.output.split ? ((row.partition as number | null) ?? 0) : 1
    await writers[part - 1]?.write([row])
    await onRow?.(row)
  }
  try {
    for (const file of files) writers.push(await createRowWriter(file, columnsOf(ranked, config)))
    for await (const row of outputRows(ranked, config)) {
      signal?.throwIfAborted()
      await write(row)
    }
    for (const writer of writers) await writer.finish()
    return files
  } catch (error) {
    for (const writer of writers) await writer.abandon().catch(() => {}) // the first error is the one to report
    throw error
  }
}

export async function drawHistogram(scores: readonly Score[], file: string | null): Promise<void> {
  if (file === null) return
  const rewards = rewardsOf(scores)
  const draw = extname(file).toLowerCase() === '.svg' ? histogramSvg : histogramPage
  await writeFileAtomic(resolve(file), draw(rewards, { title: 'Rewards', label: 'reward' }))
}

/** explanations.jsonl, or explanations.partition-1.jsonl and so on. */
function filesOf({ output: { path, split }, partitions }: RankConfig): string[] {
  if (path === null) return []
  const file = resolve(path)
  if (!split || partitions === null) return [file]
  const extension = extname(file)
  const stem = file.slice(0, -extension.length)
  return Array.from({ length: partitions }, (_, i) => `${stem}.partition-${i + 1}${extension}`)
}

async function* outputRows(
  { traces, scores, places }: Ranked,
  config: RankConfig,
): AsyncGenerator<OutputRow> {
  const byRank: OutputRow[] = []
  const without: OutputRow[] = []
  let i = 0
  for await (const trace of traces.read()) {
    const [score, place] = [scores[i]!, places[i]!]
    i++
    if (!place.kept) continue
    const row = outputRow(trace, score, place, config)
    if (config.order === 'input') yield row
    else if (place.rank === null) without.push(row)
    else byRank[place.rank - 1] = row
  }
  yield* byRank
  yield* without
}

function outputRow({ raw }: Trace, score: Score, place: Place, { partitions }: RankConfig): OutputRow {
  const { reward, parts, failure } = score
  return {
    ...plain(raw),
    ...{ reward, parts, rank: place.rank },
    ...(partitions === null ? {} : { partition: place.partition }),
    ...(failure === undefined ? {} : { failure }),
  }
}

function columnsOf({ traces, scores, terms }: Ranked, { partitions }: RankConfig): Columns {
  const failed = scores.some(({ failure }) => failure !== undefined)
  return {
    ...traces.columns,
    ...{ reward: 'number', parts: partsColumn(terms), rank: 'integer' },
    ...(partitions === null ? {} : { partition: 'integer' as const }),
    ...(failed ? { failure: 'text' as const } : {}),
  }
}
