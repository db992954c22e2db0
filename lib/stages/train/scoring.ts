/** The reward of every explanation: what the students make of it, and the user's own terms. */
import { StudentFormat, type StudentView, textOf } from '../../data/index.js'
import type { TokenGroup } from '../../engine/index.js'
import { type ComposedReward, composeReward, missingEndReward, type TermInput } from '../../rewards/index.js'
import type { Student } from './models.js'
import type { ExplanationGroup } from './sampling.js'
import type { Session } from './session.js'

/** `[group][completion]` */
export type PerCompletion<T> = T[][]

/** A student's log-probabilities of one explanation and its solution. */
interface Judgement {
  solutionLogProbs: Float32Array
  explanationLogProbs: Float32Array
}

/**
 * An explanation that was not ended gets reward.missingEnd and is not scored. One that a student cannot read, because
 * in its tokens it is longer than its context, gets NaN and so is left out of its group's advantages.
 */
export async function scoreExplanations(
  groups: readonly ExplanationGroup[],
  session: Session,
  step: number,
): Promise<PerCompletion<ComposedReward>> {
  const { students, config, terms } = session
  const judgements: PerCompletion<Judgement | undefined>[] = []
  for (const [i, student] of students.entries())
    judgements.push(
      await judge(groups, student, session, share =>
        session.run.phase('score', step, i + share, students.length),
      ),
    )
  const teacherLogProbs = await logProbsOfTeacher(groups, session)

  const rewardOf = async (group: ExplanationGroup, g: number, c: number): Promise<ComposedReward> => {
    const explanation = group.explanations[c]!
    if (!explanation.ended) return missingEndReward(config.reward)
    const ofStudents = judgements.map(judgement => judgement[g]![c]!)
    if (ofStudents.includes(undefined!)) return { reward: Number.NaN, parts: {} }
    const own = teacherLogProbs[g]![c]!.subarray(0, explanation.tokens.length)
    const input: TermInput = {
      ...{ question: group.row.question, solution: group.row.solution, answer: group.row.answer },
      explanation: textOf(explanation, session.teacher.tokenizer),
      tokens: explanation.tokens,
      teacherLogProbs: own,
      students: ofStudents,
    }
    const values = await Promise.all(
      terms.map(async ({ name, weight, value }) => ({ name, weight, value: await value(input) })),
    )
    return composeReward(
      students.map(({ weight }, s) => ({ weight, ...ofStudents[s]!, teacherLogProbs: own })),
      values,
      config.reward,
    )
  }
  return Promise.all(
    groups.map((group, g) => Promise.all(group.explanations.map((_, c) => rewardOf(group, g, c)))),
  )
}

/** `[group][completion]`: undefined for those not ended, and for those that the student cannot read. */
async function judge(
  groups: readonly ExplanationGroup[],
  student: Student,
  session: Session,
  onProgress: (share: number) => void,
): Promise<PerCompletion<Judgement | undefined>> {
  const judgements: PerCompletion<Judgement | undefined> = groups.map(group =>
    group.explanations.map(() => undefined),
  )
  const views: { group: number; completion: number; view: StudentView }[][] = []
  const tokenGroups: TokenGroup[] = []
  for (const [g, group] of groups.entries()) {
    const format = new StudentFormat(group.row, session.config.format, student.model.tokenizer)
    const readable = group.explanations.flatMap((explanation, completion) => {
      if (!explanation.ended) return []
      const view = student.sharesTokenizer
        ? format.view(explanation)
        : format.viewOfText(textOf(explanation, session.teacher.tokenizer))
      return canRead(student, format.prefix.length, view) ? [{ group: g, completion, view }] : []
    })
    if (readable.length === 0) continue
    views.push(readable)
    tokenGroups.push({ prefix: format.prefix, suffixes: readable.map(({ view }) => view.suffix) })
  }
  const logProbs = await student.model.logProbs(tokenGroups, {
    temperature: session.config.reward.temperature,
    onProgress,
    ...session.callOptions,
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
function canRead(
  { model: { configuration } }: Student,
  prefixLength: number,
  { suffix }: StudentView,
): boolean {
  return (
    prefixLength + suffix.length <= configuration.maxPositions &&
    suffix.every(token => token < configuration.vocabularySize)
  )
}

/**
 * The teacher's log-probabilities of its completions at the reward's temperature. Those that the sampler recorded are
 * just these where the temperatures are the same: same weights, same kernels, over the whole vocabulary whatever
 * top-p and the like left of it. Another forward pass would be for nothing.
 */
async function logProbsOfTeacher(
  groups: readonly ExplanationGroup[],
  { teacher, config, callOptions }: Session,
): Promise<PerCompletion<Float32Array>> {
  const { temperature } = config.reward
  if (temperature === config.sampling.temperature || config.reward.naturalness.coefficient === 0)
    return groups.map(group => group.logProbs)
  return teacher.logProbs(groups, { temperature, ...callOptions })
}
