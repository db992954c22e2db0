/** The report in Markdown: what was done, the tables, and what they say. */
import type { Estimate, PairedDifference } from '../../lib/stages/evaluate/statistics.js'
import {
  differencesBySeed,
  errorOverSeeds,
  estimateOf,
  estimateOfPart,
  type JudgedPart,
  judgedParts,
  meanOf,
  measures,
  rangeOverSeeds,
  slopes,
  studentDifference,
  teacherDifference,
  valuesOf,
  verdict,
} from './analysis.js'
import { rankName } from './figures.js'
import type { Measurement } from './measure.js'
import type { Results, StudentResult, TaskName } from './results.js'
import { baseModel, settings } from './settings.js'

export function document(results: Results): string {
  return `${[introduction(results), claimA(results), claimB(results), claimC(results), closing(results)].join(
    '\n\n',
  )}\n`
}

function introduction({ teacherStudents, rankStudents, countdownStudents, training }: Results): string {
  const { teacher, questions, explanations, heldOut, student, countdown, thought, resampling } = settings
  const dataSets = [...Object.values(teacherStudents), ...rankStudents].map(
    ({ measurements }) => measurements,
  )
  const [before, after] = [training[0]!, training.at(-1)!]
  return `# The paper's main claims, replayed at small scale

\`npm run bench:claims\` makes this page, its figures and [claims.json](claims.json), where every value is. Teachers, students
and the judge of the reward are all SmolLM2-135M-Instruct (\`${baseModel}\`), on two cores. The paper (arXiv
[2506.08388](https://arxiv.org/abs/2506.08388)) has teachers of 7B parameters, students of 7B and 32B, and thoughts of
thousands of tokens: that something does or does not show here says nothing of whether it does there.

**Teacher.** The quickstart's recipe for ${teacher.steps} steps of 4 questions x 8 explanations on 192 GSM8K questions, one seed. In its
training the reward on 32 held-out questions went from ${signed(before['held_out/reward']!)} to ${signed(after['held_out/reward']!)}, understanding from
${signed(before['held_out/reward/understanding']!)} to ${signed(after['held_out/reward/understanding']!)}, naturalness (a divergence, to be small) from ${number(before['held_out/reward/naturalness']!)} to ${number(after['held_out/reward/naturalness']!)}.

**Explanations.** Both teachers, trained and untrained, write ${explanations} explanations of at most ${settings.maxNewTokens} tokens of the same ${questions} questions
(of the 192), at temperature 0.7. Those that were not ended are left out.
Empty lines within them are taken out before students learn from them, for an empty line is what ends a thought.

**Students.** Each is the untrained model, fine-tuned (\`rlt distill\`) for one pass over its data set, ${student.rowsPerStep} rows a step, peak
learning rate ${student.learningRate}, the same for all; nothing was tuned. Seeds (${student.seeds.join(', ')}; ${countdown.seeds.join(', ')} on countdown) change the order of the rows and the
sampled thoughts. ${teacherStudents.trained.rows} rows in (a), ${rankStudents[0]!.rows} in (b), ${countdownStudents.trained.rows} in (c): within each, the same questions and solutions for all students.

**Measured** is, on ${heldOut} questions of GSM8K's test set (${countdown.heldOut} countdown problems in (c)), the student's mean log-probability of a token of
the reference solution, in nats at temperature 1:
- *right behind the question*, where the student would begin its thought;
- *behind its own thought*: the student samples a thought (temperature ${thought.temperature}, at most ${thought.maxNewTokens} tokens, ended by an empty line), and
  the solution stands behind it, as in the format it was distilled in.

Students of one data set differ from seed to seed by ${measures
    .map(measure => `${number(rangeOverSeeds(dataSets, measure))} ${names[measure]}`)
    .join(' and ')}, on average: differences that are
smaller mean little, whatever their interval.

± is the standard error over held-out questions. Differences are paired by question, with their ${100 * resampling.confidence} % bootstrap interval over
questions; it covers neither the teacher's seed nor the choice of the rows to learn from. Answers are not graded: of so small a model next to none is right.`
}

function claimA({ teacherStudents, undistilled }: Results): string {
  const { untrained, trained, none } = teacherStudents
  const rows = [
    studentRow('not distilled', { ...undistilledRow, measurements: [undistilled.gsm8k] }),
    studentRow('no explanations', none),
    studentRow("the untrained teacher's", untrained),
    studentRow("the trained teacher's", trained),
  ]
  return `## (a) Explanations of the trained teacher against the untrained one

One explanation of each question, taken by chance. "No explanations" are the same questions and solutions, with "Here is the
solution." in place of every thought. Where explanations are shorter, more of a student's loss, a mean over tokens, is on the
solution: that can make a difference by itself.

${table(studentHead('explanations'), rows)}

${table(differenceHead, [
  ...studentDifferences('trained - untrained', trained, untrained),
  ...studentDifferences('trained - no explanations', trained, none),
])}

![Differences of (a)](claims-a.svg)

${sayStudents("Students of the trained teacher's explanations, beside those of the untrained teacher's,", trained.measurements, untrained.measurements)}
${sayStudents('The same students, beside those of no explanations,', trained.measurements, none.measurements)}`
}

function claimB({ rankStudents }: Results): string {
  const [best, worst] = [rankStudents[0]!, rankStudents.at(-1)!]
  const trends = measures.map(measure => {
    const perQuestion = slopes(rankStudents.map(({ measurements }) => valuesOf(measurements, measure)))
    return [`${names[measure]}, slope over ranks`, interval(estimateOf(perQuestion)), '']
  })
  return `## (b) Data sets partitioned by reward rank

The trained teacher's explanations, those of each question ranked by their reward: partition 1 has the best of every
question, partition ${rankStudents.length} the worst. Questions with fewer than ${rankStudents.length} different ended explanations are left out.

${table(
  studentHead('explanations'),
  rankStudents.map((student, k) => studentRow(rankName(k, rankStudents.length), student)),
)}

${table(differenceHead, [...studentDifferences('best - worst', best, worst), ...trends])}

![Differences of (b)](claims-b.svg)

${sayStudents('Students of the best explanations, beside those of the worst,', best.measurements, worst.measurements)} A slope below 0 would be
students that get worse with the rank.`
}

function claimC({ teachers, countdownStudents, undistilled }: Results): string {
  const { untrained, trained } = countdownStudents
  const { numbers, questions } = settings.countdown
  const change = teacherDifference(teachers.countdown.trained, teachers.countdown.untrained, 'reward')
  return `## (c) A teacher trained on GSM8K, on countdown

Countdown problems of ${numbers.fewestNumbers} or ${numbers.mostNumbers} numbers with worked solutions (\`rlt countdown\`). Neither teacher has seen any. On held-out problems,
${settings.judged.explanations} explanations each, with held-out GSM8K questions beside them. The reward counts explanations that were not ended
(-10); understanding and naturalness, at the reward's temperature of 0.7, are of ended ones.

${table(
  ['explanations of', 'untrained', 'trained', `difference [${interval95}]`, 'questions'],
  (['countdown', 'gsm8k'] as const).flatMap(task => judgedRows(task, teachers)),
)}

Students distilled on ${questions} other problems, as in (a), measured on held-out problems:

${table(studentHead('explanations'), [
  studentRow('not distilled', { ...undistilledRow, measurements: [undistilled.countdown] }),
  studentRow("the untrained teacher's", untrained),
  studentRow("the GSM8K teacher's", trained),
])}

${table(differenceHead, studentDifferences('trained - untrained', trained, untrained))}

![Differences of (c)](claims-c.svg)

Trained on GSM8K, the teacher's reward on countdown is ${outcome(change)}.
${sayStudents('Students of its explanations, beside those of the untrained teacher,', trained.measurements, untrained.measurements)}`
}

function closing({ seconds }: Results): string {
  const total = Object.values(seconds).reduce((a, b) => a + b, 0)
  return `## How long it took

${Math.round(total / 60)} minutes in all, beside other work on the same two cores; seconds of each piece are in [claims.json](claims.json). When
nothing else ran, a student of the trained teacher took 57 s and the untrained teacher's explanations of GSM8K 60 s, so that all
of it would take about half an hour; both came out as before, bit for bit.`
}

const names = { direct: 'right behind the question', afterThought: 'behind its own thought' } as const
const interval95 = `${100 * settings.resampling.confidence} % interval`
const studentHead = (first: string) => [
  first,
  'rows',
  'their reward',
  'their tokens',
  names.direct,
  names.afterThought,
  'tokens of its thought',
]
const undistilledRow = { rows: 0, reward: null, tokens: null }
const differenceHead = ['difference', `mean [${interval95}]`, 'seed by seed']

function studentRow(label: string, { rows, reward, tokens, measurements }: StudentResult): string[] {
  const thought = meanOf(measurements.flatMap(({ thoughtTokens }) => thoughtTokens))
  return [
    label,
    rows === 0 ? '' : String(rows),
    reward === null ? '' : signed(reward),
    tokens === null ? '' : tokens.toFixed(0),
    ...measures.map(measure => withError(estimateOf(valuesOf(measurements, measure)))),
    thought.toFixed(0),
  ]
}

function studentDifferences(label: string, first: StudentResult, second: StudentResult): string[][] {
  return measures.map(measure => {
    const seeds = differencesBySeed(first.measurements, second.measurements, measure)
    const error = errorOverSeeds(seeds)
    return [
      `${label}, ${names[measure]}`,
      interval(studentDifference(first.measurements, second.measurements, measure)),
      seeds.map(signed).join(', ') + (error === undefined ? '' : ` (± ${number(error)})`),
    ]
  })
}

function judgedRows(task: TaskName, teachers: Results['teachers']): string[][] {
  const { untrained, trained } = teachers[task]
  const label: Record<JudgedPart, string> = {
    reward: 'reward',
    understanding: 'understanding',
    naturalness: 'naturalness (to be small)',
    ended: 'share ended',
  }
  return judgedParts.map(part => {
    const difference = teacherDifference(trained, untrained, part)
    return [
      `${task === 'gsm8k' ? 'GSM8K' : task}: ${label[part]}`,
      withError(estimateOfPart(untrained, part)),
      withError(estimateOfPart(trained, part)),
      interval(difference),
      String(difference.questions),
    ]
  })
}

/** In words, whichever way it falls. */
function sayStudents(subject: string, first: readonly Measurement[], second: readonly Measurement[]): string {
  const said = measures.map(
    measure => `${names[measure]} ${outcome(studentDifference(first, second, measure))}`,
  )
  return `${subject} predict the held-out solutions: ${said.join('; ')}.`
}

function outcome(difference: PairedDifference): string {
  const says = verdict(difference)
  if (says === 'no difference shown') return `**not shown to differ** (${interval(difference)})`
  return `**${says}** by ${number(Math.abs(difference.mean))}`
}

const number = (value: number) => value.toFixed(3)
const signed = (value: number) => (value > 0 ? '+' : '') + number(value)
const withError = ({ mean, standardError }: Estimate) => `${number(mean)} ± ${number(standardError)}`
const interval = ({ mean, low, high }: Pick<Estimate, 'mean' | 'low' | 'high'>) =>
  `${signed(mean)} [${signed(low)}, ${signed(high)}]`

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
