/**
 * The teacher reward of explanations that exist: of any data set with questions, solutions and reasoning traces, each
 * trace is scored as `train` would score it, and the traces are ranked. What the lines stand for is in `rank/`.
 */
import { parseConfig, type RankConfigInput, rankKind } from '../config/index.js'
import { ScoreCache } from './rank/cache.js'
import { drawHistogram, writeRanked } from './rank/output.js'
import { placesOf } from './rank/ranking.js'
import { type RankOptions, type RankResult, resultOf } from './rank/result.js'
import { scoreTraces } from './rank/scoring.js'
import { Traces } from './rank/traces.js'
import { wasAborted } from './shared/aborted.js'
import { FoundJudges } from './shared/judges.js'

export type { RankEvent, RankOptions, RankResult, RewardDistribution } from './rank/result.js'

/**
 * Scores and ranks the explanations of a data source.
 *
 * Each row comes out as it went in, with `reward`, its `parts` and `rank` (1 is the highest reward; equal ones are in
 * the order of the input) added, `partition` where there are partitions, and `failure` in place of a reward where a
 * model cannot read the row. Rewards are kept by the content of a row, batch by batch: what was scored once, by the
 * same models and the same reward, is not scored again, in this call or a later one.
 *
 * @throws {ConfigurationError} the configuration is not one, or its models do not go together
 * @throws {DataError} a row cannot be read; it is named with file and line, before a model is loaded
 * @throws {ModelError} a model cannot be found or loaded
 * @throws {EngineError} the engine failed; finished batches are kept
 */
export async function rank(input: RankConfigInput, options: RankOptions = {}): Promise<RankResult> {
  const config = parseConfig(rankKind, input)
  let cache: ScoreCache | undefined
  try {
    const traces = await Traces.check(config, options.signal)
    const judges = await FoundJudges.find(config, { signal: options.signal })
    cache = await ScoreCache.open(config.cache, judges.identity, options)
    const scores = await scoreTraces(traces, judges, cache, config, options)
    const places = placesOf(
      scores.map(({ reward }) => reward),
      config,
    )
    const files = await writeRanked({ traces, scores, places, terms: judges.termNames }, config, options)
    await drawHistogram(scores, config.output.histogram)
    return resultOf(scores, files, config)
  } catch (error) {
    if (wasAborted(error, options.signal)) return resultOf([], [], config, false)
    throw error
  } finally {
    await cache?.close()
  }
}
