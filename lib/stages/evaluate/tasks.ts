/** The questions of a task, each with what its answers are graded by. */
import { type EvaluateConfig, type EvaluationTask, labelOfTask } from '../../config/index.js'
import { countdownProblem, gradeCountdown } from '../../countdown/index.js'
import {
  type HubOptions,
  permutation,
  purposes,
  type RawRow,
  readRawRows,
  textColumn,
} from '../../data/index.js'
import { DataError } from '../../errors.js'
import { answerPart, type Grade, gradeAnswer } from '../../grading/index.js'

export interface Question {
  /** As it is asked, choices included. */
  question: string
  /** As it is kept in the outputs. */
  answer: string
  origin: string
  grade(completion: string): Grade
}

export interface Task {
  name: string
  questions: readonly Question[]
  /** The user's message, with {question}; null where that of the student format is to be taken. */
  user: string
  /** Whether `user` was given by the configuration. */
  isOwnUser: boolean
}

interface KnownTask {
  hub?: { hub: string; split: string; config?: string }
  question?: string
  answer?: string
  grader: 'math' | 'choice' | 'countdown'
  user: string
}

const boxedAnswer = '{question}\n\nPlease reason step by step, and put your final answer within \\boxed{}.'
const boxedLetter =
  '{question}\n\nPlease reason step by step, and put the letter of the right choice within \\boxed{}.'

/** Repositories of the hub, where they are known to be; a file can be named in their place. */
const knownTasks: Record<NonNullable<EvaluationTask['task']>, KnownTask> = {
  gsm8k: {
    hub: { hub: 'openai/gsm8k', config: 'main', split: 'test' },
    grader: 'math',
    user: boxedAnswer,
  },
  math500: { hub: { hub: 'HuggingFaceH4/MATH-500', split: 'test' }, grader: 'math', user: boxedAnswer },
  aime24: { hub: { hub: 'HuggingFaceH4/aime_2024', split: 'train' }, grader: 'math', user: boxedAnswer },
  aime25: { hub: { hub: 'math-ai/aime25', split: 'test' }, grader: 'math', user: boxedAnswer },
  gpqa: { question: 'Question', answer: 'Correct Answer', grader: 'choice', user: boxedLetter },
  countdown: { grader: 'countdown', user: '{question}' },
}

/** Problems that countdown makes where limit does not say. */
const countdownProblems = 1000

/** @throws {DataError} naming file and line of what cannot be read */
export async function readTask(
  task: EvaluationTask,
  index: number,
  { seed }: EvaluateConfig,
  options: HubOptions,
): Promise<Task> {
  const known = task.task === null ? undefined : knownTasks[task.task]
  const grader = task.grader ?? known?.grader ?? 'math'
  const questions: Question[] = []
  if (task.task === 'countdown' && task.path === undefined && task.hub === undefined)
    questions.push(...madeCountdown(task, seed))
  else {
    const option = `tasks[${index}]`
    const source = {
      ...{ format: task.format, skip: task.skip, limit: task.limit },
      ...sourceOf(task, known),
      columns: { question: 'question', solution: 'answer', answer: null },
    }
    for await (const raw of readRawRows(source, option, options))
      questions.push(questionOf(raw, { task, known, grader, option, seed, place: questions.length }))
  }
  return {
    ...{ name: labelOfTask(task), questions },
    user: task.user ?? known?.user ?? (grader === 'choice' ? boxedLetter : boxedAnswer),
    isOwnUser: task.user !== null,
  }
}

function sourceOf({ path, hub, split, config }: EvaluationTask, known: KnownTask | undefined) {
  if (path !== undefined) return { path, split: 'test', config: null }
  if (hub !== undefined) return { hub, split: split ?? 'test', config }
  const own = known!.hub!
  return { hub: own.hub, split: split ?? own.split, config: config ?? own.config ?? null }
}

function madeCountdown({ skip, limit }: EvaluationTask, seed: number): Question[] {
  return Array.from({ length: limit ?? countdownProblems }, (_, i) => {
    const { question, answer, numbers, target } = countdownProblem(seed, skip + i)
    return {
      ...{ question, answer, origin: `countdown, seed ${seed}, problem ${skip + i}` },
      grade: text => gradeCountdown(answerPart(text), numbers, target),
    }
  })
}

interface Reading {
  task: EvaluationTask
  known: KnownTask | undefined
  grader: 'math' | 'choice' | 'countdown'
  option: string
  seed: number
  place: number
}

function questionOf(raw: RawRow, { task, known, grader, option, seed, place }: Reading): Question {
  const columnOf = (kind: 'question' | 'answer', usual: readonly string[]) =>
    task.columns[kind] ??
    [...(known?.[kind] === undefined ? [] : [known[kind]]), ...usual].find(name => name in raw.values) ??
    kind
  const read = (kind: 'question' | 'answer', usual: readonly string[]) =>
    textColumn(raw, columnOf(kind, usual), `${option}.columns.${kind}`)
  const question = read('question', ['question', 'problem'])
  const { origin } = raw
  if (grader === 'countdown') {
    const { numbers, target } = countdownOf(raw)
    return {
      question,
      answer: String(target),
      origin,
      grade: text => gradeCountdown(answerPart(text), numbers, target),
    }
  }
  const answer = read('answer', ['answer'])
  if (grader === 'choice' && incorrectAnswers.every(name => name in raw.values))
    return multipleChoice(raw, question, answer, seed, place)
  const options = { kind: grader }
  return { question, answer, origin, grade: text => gradeAnswer(answerPart(text), answer, options) }
}

/** As GPQA has them. */
const incorrectAnswers = ['Incorrect Answer 1', 'Incorrect Answer 2', 'Incorrect Answer 3']

/** The choices in an order drawn from the seed: else the right one would always be the first. */
function multipleChoice(raw: RawRow, question: string, right: string, seed: number, place: number): Question {
  const choices = [right, ...incorrectAnswers.map(name => textColumn(raw, name, name))]
  const order = [...permutation(choices.length, seed, purposes.evaluation, place)]
  const lines = order.map((choice, i) => `(${letters[i]}) ${choices[choice]!.trim()}`)
  const answer = letters[order.indexOf(0)]!
  return {
    ...{ question: `${question.trim()}\n\n${lines.join('\n')}`, answer, origin: raw.origin },
    grade: text => gradeAnswer(answerPart(text), answer, { kind: 'choice' }),
  }
}

const letters = 'ABCD'

function countdownOf({ values, origin }: RawRow): { numbers: number[]; target: number } {
  const { numbers: given, target: wanted } = values
  // A .csv or .parquet file has lists as JSON.
  const numbers = typeof given === 'string' ? tryJson(given) : given
  const target = Number(wanted)
  const isWhole = (value: unknown) => Number.isSafeInteger(Number(value)) && Number(value) >= 0
  if (!Array.isArray(numbers) || !numbers.every(isWhole) || wanted === undefined || !isWhole(target))
    throw new DataError(
      `${origin}: a countdown problem has the columns numbers, a list of whole numbers, and target, a whole number`,
    )
  return { numbers: numbers.map(Number), target }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
