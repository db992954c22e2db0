/**
 * Replays the paper's main claims (arXiv 2506.08388) at small scale, whichever way they fall:
 *
 * (a) a student learns more from the explanations of a trained teacher than from those of the untrained one;
 * (b) it learns more from explanations with a higher reward;
 * (c) a teacher trained on one task (GSM8K) explains another (countdown) without further training.
 *
 *   node dist/bench/claims.js --folder runs/claims --output docs
 *
 * Writes claims.json, claims.md and a figure for each claim. What is done is not done again: stopped or killed, it goes
 * on where it was. How small is in claims/settings.ts.
 */
import { join } from 'node:path'
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { readEvaluations, readMetrics, writeFileAtomic } from '../lib/runs/index.js'
import { oneOfEach, partitionsByRank, questionsOfAll, withoutExplanations } from './claims/datasets.js'
import { document } from './claims/document.js'
import { figures } from './claims/figures.js'
import type { Results, StudentResult } from './claims/results.js'
import { baseModel, gsm8kData, settings } from './claims/settings.js'
import { Work } from './claims/work.js'

const { folder, output } = await yargs(hideBin(process.argv))
  .option('folder', { type: 'string', default: 'runs/claims', describe: 'What is done is kept here' })
  .option('output', { type: 'string', default: 'docs', describe: 'Where tables and figures go' })
  .strict()
  .parse()

const work = await Work.open(folder)
const results = await replay(work)
await writeFileAtomic(join(output, 'claims.json'), `${JSON.stringify(results, rounded)}\n`)
await writeFileAtomic(join(output, 'claims.md'), document(results))
for (const [name, svg] of Object.entries(figures(results)))
  await writeFileAtomic(join(output, `claims-${name}.svg`), svg)

async function replay(work: Work): Promise<Results> {
  const trained = await work.trainTeacher()
  const countdown = await work.countdownData()

  const explained = {
    untrained: await work.explain('gsm8k-untrained', baseModel, gsm8kData),
    trained: await work.explain('gsm8k-trained', trained, gsm8kData),
  }
  const questions = questionsOfAll([explained.untrained, explained.trained])
  const ofTeachers = {
    untrained: oneOfEach(explained.untrained, questions),
    trained: oneOfEach(explained.trained, questions),
  }
  const sets: Record<string, Parameters<Work['distil']>[1]> = {
    ...ofTeachers,
    none: withoutExplanations(ofTeachers.trained),
  }
  for (const [k, rows] of partitionsByRank(explained.trained, settings.explanations).entries())
    sets[`rank-${k + 1}`] = rows

  const undistilled = {
    gsm8k: await work.measureUndistilled('undistilled', baseModel, gsm8kData),
    countdown: await work.measureUndistilled('countdown-undistilled', baseModel, countdown),
  }
  const teachers = {
    gsm8k: {
      untrained: await work.judge('gsm8k-untrained', baseModel, gsm8kData),
      trained: await work.judge('gsm8k-trained', trained, gsm8kData),
    },
    countdown: {
      untrained: await work.judge('countdown-untrained', baseModel, countdown),
      trained: await work.judge('countdown-trained', trained, countdown),
    },
  }

  const countdownExplained = {
    untrained: await work.explain('countdown-untrained', baseModel, countdown),
    trained: await work.explain('countdown-trained', trained, countdown),
  }
  const countdownQuestions = questionsOfAll(Object.values(countdownExplained))
  const countdownStudents: Record<string, StudentResult> = {}
  for (const seed of settings.countdown.seeds)
    for (const [name, rows] of Object.entries(countdownExplained)) {
      const set = oneOfEach(rows, countdownQuestions)
      add(countdownStudents, name, await work.distil(`countdown-${name}-student`, set, countdown, seed))
    }

  const students: Record<string, StudentResult> = {}
  for (const seed of settings.student.seeds)
    for (const [name, rows] of Object.entries(sets))
      add(students, name, await work.distil(name, rows, gsm8kData, seed))

  const { untrained, trained: ofTrained, none } = students
  return {
    ...{
      settings,
      seconds: { ...work.seconds, teacher: await secondsOfTraining(join(work.folder, 'teacher')) },
    },
    training: await readEvaluations(join(work.folder, 'teacher')),
    ...{ teachers, undistilled },
    teacherStudents: { untrained: untrained!, trained: ofTrained!, none: none! },
    rankStudents: Array.from({ length: settings.explanations }, (_, k) => students[`rank-${k + 1}`]!),
    countdownStudents: { untrained: countdownStudents.untrained!, trained: countdownStudents.trained! },
  }
}

/** Of steps and measurements, however often the run was gone on with. */
async function secondsOfTraining(run: string): Promise<number> {
  const [steps, evaluations] = [await readMetrics(run), await readEvaluations(run)]
  const seconds = [...steps.map(row => row.seconds), ...evaluations.map(row => row['held_out/seconds'])]
  return Math.round(seconds.reduce<number>((sum, one) => sum + (one ?? 0), 0))
}

/** The seeds of one data set together. */
function add(students: Record<string, StudentResult>, name: string, one: StudentResult): void {
  const known = students[name]
  if (known) known.measurements.push(...one.measurements)
  else students[name] = one
}

function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value
}
