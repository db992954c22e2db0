/** Data sets to distil: which of the teachers' explanations a student learns from. Pure functions of rows. */
import { hashCounters, purposes } from '../../lib/data/index.js'

/** A row as `rlt explain` writes it, best explanation of a question first. */
export interface ExplainedRow {
  question: string
  solution: string
  explanation: string
  reward: number
  parts: Record<string, number>
  /** 1 is the highest reward of its question. */
  rank: number
  /** Of the explanation. */
  tokens: number
}

type ByQuestion = Map<string, ExplainedRow[]>

export function byQuestion(rows: readonly ExplainedRow[]): ByQuestion {
  const grouped: ByQuestion = new Map()
  for (const row of rows) grouped.set(row.question, [...(grouped.get(row.question) ?? []), row])
  return grouped
}

/** In the order of the first. */
export function questionsOfAll(data: readonly ByQuestion[]): string[] {
  const [first, ...others] = data
  return [...first!.keys()].filter(question => others.every(other => other.has(question)))
}

/** One explanation of each question, by chance and not by reward; the same whatever the other questions are. */
export function oneOfEach(explained: ByQuestion, questions: readonly string[], seed = 0): ExplainedRow[] {
  return questions.map(question => {
    const rows = explained.get(question)!
    const place = hashCounters(seed, purposes.evaluation, ...Buffer.from(question)) % BigInt(rows.length)
    return rows[Number(place)]!
  })
}

/**
 * Partition k has every question's explanation of rank k: the questions are the same in all. Questions with fewer
 * explanations than partitions are left out.
 */
export function partitionsByRank(explained: ByQuestion, partitions: number): ExplainedRow[][] {
  const full = [...explained.values()]
    .filter(rows => rows.length >= partitions)
    .map(rows => rows.toSorted((a, b) => a.rank - b.rank))
  return Array.from({ length: partitions }, (_, k) => full.map(rows => rows[k]!))
}

/** The same questions and solutions with a thought that says nothing: what is learned without explanations. */
export const withoutExplanations = (rows: readonly ExplainedRow[]) =>
  rows.map(({ question, solution }) => ({ question, solution, explanation: 'Here is the solution.' }))

/** Without empty lines: the one that the format has behind a thought is then the first, and tells where the thought ends. */
export const inOneParagraph = (explanation: string): string => explanation.trim().replaceAll(/\n\s*\n/g, '\n')
