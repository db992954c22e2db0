/** Rewards of rows, batch by batch, by the same code as the rewards of training. */
import type { RankConfig } from '../../config/index.js'
import { teacherPrompt } from '../../data/index.js'
import type { FoundJudges, LoadedJudges } from '../shared/judges.js'
import { type ScorableGroup, type ScoredExplanation, scoreExplanations } from '../shared/scoring.js'
import { contentKey, type Score, type ScoreCache } from './cache.js'
import type { RankOptions } from './result.js'
import type { Trace, Traces } from './traces.js'

/**
 * The scores of all rows, in their order. Which rows are scored together is a function of their places and of what the
 * cache held, so that work that was interrupted comes to the same. No model is loaded where all is in the cache.
 */
export async function scoreTraces(
  traces: Traces,
  found: FoundJudges,
  cache: ScoreCache,
  config: RankConfig,
  { signal, onEvent }: RankOptions,
): Promise<Score[]> {
  const scores: Score[] = []
  let [sum, count] = [0, 0]
  let judges: LoadedJudges | undefined
  try {
    for await (const batch of traces.batches(config.rowsPerBatch)) {
      signal?.throwIfAborted()
      const keys = batch.map(contentKey)
      const missing = new Map(batch.map((trace, i) => [keys[i]!, trace]))
      for (const key of keys) if (cache.get(key)) missing.delete(key)
      if (missing.size > 0) {
        judges ??= await found.load(signal)
        await cache.add(await scoreAll(missing, judges))
      }
      for (const key of keys) {
        const score = cache.get(key)!
        scores.push(score)
        if (score.reward === null) continue
        sum += score.reward
        count++
      }
      const meanReward = count > 0 ? sum / count : null
      onEvent?.({ type: 'batch', rows: scores.length, totalRows: traces.length, meanReward })
    }
    return scores
  } finally {
    judges?.dispose()
  }
}

interface KeyedGroup extends ScorableGroup {
  keys: string[]
  texts: string[]
}

/** Explanations of one question are one group: what they share is computed once. */
async function scoreAll(
  traces: ReadonlyMap<string, Trace>,
  judges: LoadedJudges,
): Promise<Map<string, Score>> {
  const groups = new Map<string, KeyedGroup>()
  for (const [key, { row, explanation }] of traces) {
    const question = JSON.stringify([row.question, row.solution, row.answer])
    let group = groups.get(question)
    if (group === undefined) {
      const prefix = teacherPrompt(row, judges.config.format, judges.tokenizer)
      group = { row, prefix, suffixes: [], explanations: [], texts: [], keys: [] }
      groups.set(question, group)
    }
    const tokens = judges.tokenizer.encode(explanation)
    group.keys.push(key)
    group.suffixes.push(tokens)
    group.texts.push(explanation)
    group.explanations.push({ tokens, rest: '', ended: true })
  }
  const all = [...groups.values()]
  const rewards = await scoreExplanations(all, judges)
  const scores = all.flatMap(({ keys }, g) => keys.map((key, c) => [key, scoreOf(rewards[g]![c]!)] as const))
  return new Map(scores)
}

function scoreOf({ reward, parts, unreadable }: ScoredExplanation): Score {
  const finite = (value: number) => (Number.isFinite(value) ? value : null)
  const score = {
    reward: finite(reward),
    parts: Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, finite(value)])),
  }
  if (score.reward !== null) return score
  return { ...score, failure: unreadable ?? `the reward is ${reward}, which has no rank` }
}
