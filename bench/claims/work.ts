/** Pieces of work, each of which is done once: what it came to is kept in the folder, and read when it is asked again. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { explainKind, parseConfig } from '../../lib/config/index.js'
import { countdownProblem } from '../../lib/countdown/index.js'
import { readSource } from '../../lib/data/index.js'
import { writeFileAtomic } from '../../lib/runs/index.js'
import { distill } from '../../lib/stages/distill.js'
import { explain } from '../../lib/stages/explain.js'
import { train } from '../../lib/stages/train.js'
import { meanOf } from './analysis.js'
import { byQuestion, type ExplainedRow, inOneParagraph } from './datasets.js'
import { type Judgement, judgeTeacher } from './judge.js'
import { type Measurement, measureStudent } from './measure.js'
import type { StudentResult } from './results.js'
import { distillConfig, explainConfig, settings, type TaskData, teacherConfig } from './settings.js'

interface DistilledRow {
  question: string
  solution: string
  explanation: string
  reward?: number
  tokens?: number
}

export class Work {
  /** Of each piece of work. */
  readonly seconds: Record<string, number> = {}

  private constructor(readonly folder: string) {}

  /** @throws the folder holds the results of other settings */
  static async open(folder: string): Promise<Work> {
    await mkdir(folder, { recursive: true })
    const file = join(folder, 'settings.json')
    const text = `${JSON.stringify(settings, null, 2)}\n`
    if (existsSync(file) && (await readFile(file, 'utf8')) !== text)
      throw new Error(`${folder} holds results of other settings: remove it, or give another --folder.`)
    await writeFileAtomic(file, text)
    return new Work(folder)
  }

  /** @returns the trained teacher's model folder */
  async trainTeacher(): Promise<string> {
    const folder = join(this.folder, 'teacher')
    return this.once('teacher.json', async () => {
      const { checkpoint, finished } = await train(await teacherConfig(folder), {
        resume: existsSync(join(folder, 'config.yaml')),
        onStep: row => log(`teacher: step ${row.step}, reward ${row.reward?.toFixed(3)}`),
      })
      if (!finished || checkpoint === undefined) throw new Error('The training was stopped.')
      return checkpoint
    })
  }

  async explain(name: string, teacher: string, { questions }: TaskData) {
    const output = this.path(`${name}.jsonl`)
    await this.once(`${name}.done.json`, async () => {
      await explain(await explainConfig(teacher, questions, output))
      return true
    })
    const lines = (await readFile(output, 'utf8')).trim().split('\n')
    return byQuestion(lines.map(line => JSON.parse(line) as ExplainedRow))
  }

  /** On held-out questions. */
  async judge(name: string, teacher: string, { heldOut }: TaskData): Promise<Judgement> {
    const { questions, explanations } = settings.judged
    const data = { ...heldOut, limit: Math.min(heldOut.limit, questions) }
    return this.once(`${name}.judged.json`, async () =>
      judgeTeacher(await explainConfig(teacher, data, 'unwritten.jsonl', explanations)),
    )
  }

  /** Fine-tunes a student from the base model on the rows; of its weights nothing remains. */
  async distil(
    name: string,
    rows: readonly DistilledRow[],
    task: TaskData,
    seed: number,
  ): Promise<StudentResult> {
    const measurement = await this.once(`${name}-seed-${seed}.json`, async () => {
      const [data, run] = [this.path(`${name}.distilled.jsonl`), this.path(`${name}-seed-${seed}`)]
      const written = rows.map(row => ({ ...row, explanation: inOneParagraph(row.explanation) }))
      await writeFileAtomic(data, written.map(row => `${JSON.stringify(row)}\n`).join(''))
      const config = await distillConfig(data, seed, run)
      const { model } = await distill(config, { resume: existsSync(join(run, 'config.yaml')) })
      if (model === undefined) throw new Error('The fine-tuning was stopped.')
      const measured = await this.measure(model, task, seed)
      await rm(run, { recursive: true })
      return measured
    })
    return {
      ...{ rows: rows.length, measurements: [measurement] },
      reward: meanOfAll(rows.map(row => row.reward)),
      tokens: meanOfAll(rows.map(row => row.tokens)),
    }
  }

  async measureUndistilled(name: string, model: string, task: TaskData): Promise<Measurement> {
    return this.once(`${name}.json`, () => this.measure(model, task, settings.student.seeds[0]))
  }

  async countdownData(): Promise<TaskData> {
    const { questions, heldOut, numbers } = settings.countdown
    const file = async (name: string, first: number, count: number) => {
      const path = this.path(name)
      const rows = Array.from({ length: count }, (_, i) => countdownProblem(0, first + i, numbers))
      await writeFileAtomic(path, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
      return { path, limit: count }
    }
    return {
      questions: await file('countdown-questions.jsonl', 0, questions),
      heldOut: await file('countdown-held-out.jsonl', questions, heldOut),
    }
  }

  private async measure(model: string, { heldOut }: TaskData, seed: number): Promise<Measurement> {
    const { data, format } = parseConfig(explainKind, await explainConfig(model, heldOut, 'unwritten.jsonl'))
    return measureStudent(model, await readSource(data, 'data'), format, seed)
  }

  private path(name: string): string {
    return join(this.folder, name)
  }

  /** @param file what was made is kept in, as JSON */
  private async once<T>(file: string, make: () => Promise<T>): Promise<T> {
    const path = this.path(file)
    if (!existsSync(path)) {
      log(`${file} …`)
      const started = performance.now()
      const made = await make()
      const seconds = (performance.now() - started) / 1000
      await writeFileAtomic(path, JSON.stringify({ seconds, made }))
      log(`${file}: ${seconds.toFixed(0)} s`)
    }
    const { seconds, made } = JSON.parse(await readFile(path, 'utf8')) as { seconds: number; made: T }
    this.seconds[file.replace(/(\.done)?\.json$/, '')] = Math.round(seconds)
    return made
  }
}

/** Null where a value is missing. */
function meanOfAll(values: readonly (number | undefined)[]): number | null {
  const known = values.flatMap(value => value ?? [])
  return known.length === values.length ? meanOf(known) : null
}

const log = (text: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`)
