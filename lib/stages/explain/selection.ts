/** Which explanations of a question are kept, and what a row of the output says of each. */
import type { ExplainConfig } from '../../config/index.js'
import type { Columns, OutputRow, Row } from '../../data/index.js'
import type { SamplingFinish } from '../../engine/index.js'
import type { Tokenizer } from '../../models/index.js'
import {
  type PerCompletion,
  partsColumn,
  type ScorableGroup,
  type ScoredExplanation,
  textAt,
} from '../shared/scoring.js'

/** The explanations of one question as they came. */
export interface SampledExplanations extends ScorableGroup {
  /** Of the question in the data source, from 0. */
  place: number
  finish: SamplingFinish[]
  /** Why there are fewer than were asked for: what the server said. */
  refusals: string[]
}

/** A question without an explanation. */
export interface Failure {
  place: number
  row: Row
  reason: string
}

/** What a batch comes to. */
export interface FinishedBatch {
  rows: OutputRow[]
  failures: OutputRow[]
}

/** Those that were ended and say something, each text once. */
export interface UniqueExplanations extends SampledExplanations {
  texts: string[]
  /** Completions that were sampled. */
  sampled: number
  /** How many of these came to their end. */
  ended: number
}

export function withoutDuplicates(group: SampledExplanations, tokenizer: Tokenizer): UniqueExplanations {
  const texts = group.explanations.map((_, i) => textAt(group, i, tokenizer))
  const ended = texts.flatMap((_, i) => (group.explanations[i]!.ended ? [i] : []))
  const firsts = new Map(ended.toReversed().map(i => [texts[i]!, i]))
  const kept = ended.filter(i => texts[i]!.trim() !== '' && firsts.get(texts[i]!) === i)
  const pick = <T>(all: readonly T[]) => kept.map(i => all[i]!)
  return {
    ...group,
    ...{ suffixes: pick(group.suffixes), explanations: pick(group.explanations), finish: pick(group.finish) },
    ...{ logProbs: group.logProbs && pick(group.logProbs), texts: pick(texts) },
    ...{ sampled: group.explanations.length, ended: ended.length },
  }
}

/** The highest reward first; of equal ones, the one that was sampled first. */
export function bestFirst(
  groups: readonly UniqueExplanations[],
  rewards: PerCompletion<ScoredExplanation>,
  tooLong: readonly Failure[],
  { keep, sampling: { maxNewTokens } }: ExplainConfig,
): FinishedBatch {
  const failures = [...tooLong]
  const rows: OutputRow[] = []
  for (const [g, group] of groups.entries()) {
    const ranked = rewards[g]!.map((scored, c) => ({ scored, c }))
      .filter(({ scored }) => Number.isFinite(scored.reward))
      .sort((a, b) => b.scored.reward - a.scored.reward || a.c - b.c)
    const { place, row } = group
    if (ranked.length === 0) failures.push({ place, row, reason: whyNone(group, rewards[g]!, maxNewTokens) })
    for (const [i, { scored, c }] of ranked.slice(0, keep ?? ranked.length).entries())
      rows.push({
        ...{ question: row.question, solution: row.solution },
        ...(row.answer === null ? {} : { answer: row.answer }),
        ...{ explanation: group.texts[c]!, reward: scored.reward, parts: scored.parts, rank: i + 1 },
        ...{ tokens: group.explanations[c]!.tokens.length, finish: group.finish[c]! },
      })
  }
  failures.sort((a, b) => a.place - b.place)
  return {
    rows,
    failures: failures.map(({ place, row, reason }) => ({
      ...{ row: place + 1, origin: row.origin, question: row.question, reason },
    })),
  }
}

function whyNone(
  { explanations, sampled, ended, refusals }: UniqueExplanations,
  rewards: readonly ScoredExplanation[],
  maxNewTokens: number,
): string {
  if (sampled === 0 && refusals.length > 0) return `the server gave no explanation: ${refusals[0]}`
  const refused = refusals.length > 0 ? `; ${refusals.length} more were refused: ${refusals[0]}` : ''
  if (ended === 0)
    return `none of its ${sampled} explanations was ended within ${maxNewTokens} tokens (sampling.maxNewTokens)${refused}`
  if (explanations.length === 0) return `the explanations that were ended are empty${refused}`
  const unreadable = rewards.find(({ unreadable }) => unreadable !== undefined)?.unreadable
  return `none of its explanations has a reward: ${unreadable ?? 'a reward term gave no number'}`
}

/** Of the output, for Parquet. */
export function columnsOf({ data }: ExplainConfig, terms: readonly string[]): Columns {
  return {
    ...{ question: 'text', solution: 'text' },
    ...(data.columns.answer === null ? {} : { answer: 'text' as const }),
    ...{ explanation: 'text', reward: 'number' },
    ...{ parts: partsColumn(terms), rank: 'integer', tokens: 'integer', finish: 'text' },
  }
}
