/** The reward of every explanation: what the students make of it, and the user's own terms. */
import type { FormatConfig, RewardConfig, SamplingConfig } from '../../config/index.js'
import {
  type ColumnType,
  type Explanation,
  type Row,
  StudentFormat,
  type StudentView,
  textOf,
} from '../../data/index.js'
import type { Model, TokenGroup } from '../../engine/index.js'
import type { Tokenizer } from '../../models/index.js'
import {
  type ComposedReward,
  composeReward,
  missingEndReward,
  type Term,
  type TermInput,
} from '../../rewards/index.js'
import type { Student } from './students.js'

/** `[group][completion]` */
export type PerCompletion<T> = T[][]

/** Explanations of one question, sampled or read. */
export interface ScorableGroup {
  row: Row
  /** The teacher's prompt. */
  prefix: Int32Array
  /** The teacher's completions, which begin with the tokens of their explanations. */
  suffixes: Int32Array[]
  explanations: Explanation[]
  /** Of the explanations as they were read; undefined where their tokens say them, for they were sampled here. */
  texts?: string[] | undefined
  /** Of the completions' tokens, at the temperature of the sampling; undefined where they were not sampled here. */
  logProbs?: Float32Array[] | undefined
}

/** Who decides on a reward, and how. */
export interface Judges {
  /** Undefined where its weights are not at hand, which only a reward without naturalness can do without. */
  teacher: Model | undefined
  /** Of the explanations' tokens: the teacher's where there is one. */
  tokenizer: Tokenizer
  students: readonly Student[]
  /** The user's own terms of the reward. */
  terms: readonly Term[]
  config: { format: FormatConfig; reward: RewardConfig; sampling?: SamplingConfig }
  callOptions: { signal?: AbortSignal; tokenBudget?: number }
}

export interface ScoredExplanation extends ComposedReward {
  /** Why the reward is NaN though no term is: a model cannot read the explanation. */
  unreadable?: string
}

/** The parts of rewards as a column of an output file. */
export function partsColumn(terms: readonly string[]): ColumnType {
  const names = ['understanding', 'naturalness', ...terms]
  return { fields: Object.fromEntries(names.map(name => [name, 'number'])) }
}

/** A student's log-probabilities of one explanation and its solution. */
interface Judgement {
  solutionLogProbs: Float32Array
  explanationLogProbs: Float32Array
}

/** In place of log-probabilities: why there are none. */
class Unreadable {
  constructor(readonly reason: string) {}
}

/**
 * An explanation that was not ended gets reward.missingEnd and is not scored. One that a model cannot read, because
 * it is longer than its context, gets NaN and so is left out of its group's advantages.
 *
 * @param onProgress is called with the share of the students' work that is done, from 0 to 1
 */
export async function scoreExplanations(
  groups: readonly ScorableGroup[],
  judges: Judges,
  onProgress: (share: number) => void = () => {},
): Promise<PerCompletion<ScoredExplanation>> {
  const { students, terms, tokenizer, config } = judges
  const judgements: PerCompletion<Judgement | Unreadable | undefined>[] = []
  for (const [i, student] of students.entries())
    judgements.push(await judge(groups, student, judges, share => onProgress((i + share) / students.length)))
  const teacherLogProbs = await logProbsOfTeacher(groups, judges)

  const rewardOf = async (group: ScorableGroup, g: number, c: number): Promise<ScoredExplanation> => {
    const explanation = group.explanations[c]!
    if (!explanation.ended) return missingEndReward(config.reward)
    const ofStudents = judgements.map(judgement => judgement[g]![c]!)
    const ofTeacher = teacherLogProbs[g]![c]!
    const unreadable = [ofTeacher, ...ofStudents].find(judged => judged instanceof Unreadable)
    if (unreadable) return { reward: Number.NaN, parts: {}, unreadable: unreadable.reason }
    const readable = ofStudents as Judgement[]
    const own = (ofTeacher as Float32Array).subarray(0, explanation.tokens.length)
    const input: TermInput = {
      ...{ question: group.row.question, solution: group.row.solution, answer: group.row.answer },
      explanation: textAt(group, c, tokenizer),
      tokens: explanation.tokens,
      teacherLogProbs: own,
      students: readable,
    }
    const values = await Promise.all(
      terms.map(async ({ name, weight, value }) => ({ name, weight, value: await value(input) })),
    )
    return composeReward(
      students.map(({ weight }, s) => ({ weight, ...readable[s]!, teacherLogProbs: own })),
      values,
      config.reward,
    )
  }
  return Promise.all(
    groups.map((group, g) => Promise.all(group.explanations.map((_, c) => rewardOf(group, g, c)))),
  )
}

/** An explanation as text. Not every tokenizer gives back every character that it was given. */
export function textAt(
  { texts, explanations }: ScorableGroup,
  completion: number,
  tokenizer: Tokenizer,
): string {
  return texts?.[completion] ?? textOf(explanations[completion]!, tokenizer)
}

/** `[group][completion]`: undefined for those not ended. */
async function judge(
  groups: readonly ScorableGroup[],
  student: Student,
  { tokenizer, config, callOptions }: Judges,
  onProgress: (share: number) => void,
): Promise<PerCompletion<Judgement | Unreadable | undefined>> {
  const judgements: PerCompletion<Judgement | Unreadable | undefined> = groups.map(group =>
    group.explanations.map(() => undefined),
  )
  const views: { group: number; completion: number; view: StudentView }[][] = []
  const tokenGroups: TokenGroup[] = []
  for (const [g, group] of groups.entries()) {
    const format = new StudentFormat(group.row, config.format, student.model.tokenizer)
    const readable = group.explanations.flatMap((explanation, completion) => {
      if (!explanation.ended) return []
      const view = student.sharesTokenizer
        ? format.view(explanation)
        : format.viewOfText(textAt(group, completion, tokenizer))
      const reason = whyUnreadable(`the student ${student.name}`, student.model, format.prefix, view.suffix)
      if (reason !== undefined) judgements[g]![completion] = new Unreadable(reason)
      return reason === undefined ? [{ group: g, completion, view }] : []
    })
    if (readable.length === 0) continue
    views.push(readable)
    tokenGroups.push({ prefix: format.prefix, suffixes: readable.map(({ view }) => view.suffix) })
  }
  const logProbs = await student.model.logProbs(tokenGroups, {
    temperature: config.reward.temperature,
    adapter: false, // a student may be the model that a teacher's adapters are trained on
    onProgress,
    ...callOptions,
  })
  for (const [i, group] of views.entries())
    for (const [j, { group: g, completion, view }] of group.entries()) {
      const own = logProbs[i]![j]!
      judgements[g]![completion] = {
        solutionLogProbs: own.subarray(view.solution.start, view.solution.end),
        explanationLogProbs: own.subarray(view.explanation.start, view.explanation.end),
      }
    }
  return judgements
}

/** Models of one tokenizer can still differ in how far their vocabulary is padded, and a teacher can sample padding. */
function whyUnreadable(
  name: string,
  { configuration: { maxPositions, vocabularySize } }: Model,
  prefix: Int32Array,
  suffix: Int32Array,
): string | undefined {
  const length = prefix.length + suffix.length
  if (length > maxPositions)
    return `${name} would have to read ${length} tokens; its context is ${maxPositions}`
  const unknown = suffix.find(token => token >= vocabularySize)
  return unknown === undefined ? undefined : `${name} has no token ${unknown}; it has ${vocabularySize}`
}

/**
 * The teacher's log-probabilities of its completions at the reward's temperature. Those that the sampler recorded are
 * just these where the temperatures are the same: same weights, same kernels, over the whole vocabulary whatever
 * top-p and the like left of it. Another forward pass would be for nothing. NaN where nobody needs them and they are
 * not known.
 */
async function logProbsOfTeacher(
  groups: readonly ScorableGroup[],
  { teacher, terms, config, callOptions }: Judges,
): Promise<PerCompletion<Float32Array | Unreadable>> {
  const { temperature, naturalness } = config.reward
  const sampled = groups.flatMap(({ logProbs }) => (logProbs === undefined ? [] : [logProbs]))
  const known = sampled.length === groups.length
  if (known && (temperature === config.sampling?.temperature || naturalness.coefficient === 0)) return sampled
  if (teacher === undefined || (naturalness.coefficient === 0 && terms.length === 0))
    return groups.map(({ suffixes }) =>
      suffixes.map(({ length }) => new Float32Array(length).fill(Number.NaN)),
    )

  const reasons = groups.map(({ prefix, suffixes }) =>
    suffixes.map(suffix => whyUnreadable('the teacher', teacher, prefix, suffix)),
  )
  const readable = groups.map(({ prefix, suffixes }, g) => ({
    prefix,
    suffixes: suffixes.filter((_, c) => reasons[g]![c] === undefined),
  }))
  const scored = await teacher.logProbs(readable, { temperature, ...callOptions })
  return reasons.map((ofGroup, g) => {
    const next = scored[g]!.values()
    return ofGroup.map(reason => (reason === undefined ? next.next().value! : new Unreadable(reason)))
  })
}
