/** What there is to do, what of it is done, and who is told. */
import { type EvaluateConfig, labelOfModel } from '../../config/index.js'
import type { ModelFiles } from '../../models/index.js'
import { resolveModel } from '../../models/index.js'
import { weightsIdentity } from '../shared/judges.js'
import { drawnBy } from '../shared/sampling.js'
import type { Completion, PlacedQuestion } from './answering.js'
import { EvaluationOutput, type GradedQuestion } from './output.js'
import { type EvaluateResult, figuresOf } from './result.js'
import { readTask, type Task } from './tasks.js'

export type EvaluateEvent =
  | { type: 'message'; text: string; level: 'info' | 'warning' }
  /** Of models and data, or of the samples of the batch that is worked on; from 0 to 1. */
  | { type: 'phase'; phase: 'load' | 'sample'; share: number }
  /** A batch is finished and saved; questions are those of all models and tasks since the very beginning. */
  | { type: 'batch'; questions: number; totalQuestions: number; accuracy: number | null }

export interface EvaluateOptions {
  /** Aborting ends the work: finished batches are saved, and `evaluate` returns. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: EvaluateEvent) => void) | undefined
}

/** Questions that one model is asked together. */
export interface Batch {
  model: number
  task: number
  questions: PlacedQuestion[]
}

export class EvaluationWork {
  private constructor(
    readonly config: EvaluateConfig,
    readonly tasks: readonly Task[],
    /** By the index of the model; undefined for those at a server. */
    readonly files: readonly (ModelFiles | undefined)[],
    private readonly output: EvaluationOutput,
    private readonly batches: readonly Batch[],
    private readonly options: EvaluateOptions,
  ) {}

  /** What costs little is read first, so that a mistake there is known before models are loaded. */
  static async open(config: EvaluateConfig, options: EvaluateOptions): Promise<EvaluationWork> {
    const { signal, onEvent } = options
    const onProgress = ({ bytes, totalBytes }: { bytes: number; totalBytes?: number | undefined }) =>
      onEvent?.({ type: 'phase', phase: 'load', share: totalBytes ? bytes / totalBytes : 0 })
    const tasks: Task[] = []
    for (const [i, task] of config.tasks.entries())
      tasks.push(await readTask(task, i, config, { signal, onProgress }))
    const files: (ModelFiles | undefined)[] = []
    for (const { model, server } of config.models)
      files.push(server === null ? await resolveModel(model, { signal, onProgress }) : undefined)
    const identity = await identityOf(config, tasks, files)
    const output = await EvaluationOutput.open(config.output.folder, identity)
    const batches = batchesOf(config, tasks)
    if (output.batches > 0)
      onEvent?.({
        type: 'message',
        level: 'info',
        text: `Going on after ${output.batches} of ${batches.length} batches`,
      })
    return new EvaluationWork(config, tasks, files, output, batches, options)
  }

  get signal(): AbortSignal | undefined {
    return this.options.signal
  }

  get isComplete(): boolean {
    return this.output.isComplete
  }

  /** The batch to go on with. Undefined after the last. */
  nextBatch(): Batch | undefined {
    this.signal?.throwIfAborted()
    return this.batches[this.output.batches]
  }

  progress(share: number): void {
    this.options.onEvent?.({ type: 'phase', phase: 'sample', share })
  }

  async finishBatch({ model, task, questions }: Batch, completions: readonly Completion[][]): Promise<void> {
    const graded = questions.map(({ question, place }, i): GradedQuestion => {
      const { origin, question: text, answer } = question
      return {
        ...{ model: labelOfModel(this.config.models[model]!), task: this.tasks[task]!.name },
        ...{ place, origin, question: text, answer },
        samples: completions[i]!.map(completion => ({ ...completion, ...question.grade(completion.text) })),
      }
    })
    await this.output.append(graded)
    this.options.onEvent?.({
      ...{ type: 'batch', questions: this.output.graded.length, accuracy: this.output.accuracy },
      totalQuestions: this.batches.reduce((sum, batch) => sum + batch.questions.length, 0),
    })
  }

  async finish(): Promise<EvaluateResult> {
    const result = this.figures()
    if (this.isComplete) await this.output.writeSummary(result)
    else await this.output.finish(result)
    return { ...result, outputs: this.output.outputsFile, finished: true }
  }

  stopped(): EvaluateResult {
    return { results: [], comparisons: [], outputs: this.output.outputsFile, finished: false }
  }

  async close(): Promise<void> {
    await this.output.close()
  }

  private figures() {
    const key = (model: string, task: string) => JSON.stringify([model, task])
    const byModelAndTask = new Map<string, GradedQuestion[]>()
    for (const question of this.output.graded) {
      const of = key(question.model, question.task)
      if (!byModelAndTask.has(of)) byModelAndTask.set(of, [])
      byModelAndTask.get(of)!.push(question)
    }
    return figuresOf(
      this.config,
      this.tasks,
      (m, t) => byModelAndTask.get(key(labelOfModel(this.config.models[m]!), this.tasks[t]!.name)) ?? [],
    )
  }
}

/** Model by model, so that each is loaded once; which questions are together is a function of their places. */
function batchesOf({ models, questionsPerBatch }: EvaluateConfig, tasks: readonly Task[]): Batch[] {
  const batches: Batch[] = []
  for (const model of models.keys())
    for (const [task, { questions }] of tasks.entries())
      for (let start = 0; start < questions.length; start += questionsPerBatch)
        batches.push({
          ...{ model, task },
          questions: questions
            .slice(start, start + questionsPerBatch)
            .map((question, i) => ({ question, place: start + i })),
        })
  return batches
}

/** Not of how results are counted: passAt and bootstrap can be changed when all is answered. */
async function identityOf(
  config: EvaluateConfig,
  tasks: readonly Task[],
  files: readonly (ModelFiles | undefined)[],
): Promise<unknown> {
  const { models, prompt, format, sampling, questionsPerBatch, seed } = config
  const weights = await Promise.all(files.map(weightsIdentity))
  return [
    ...[
      1,
      prompt,
      prompt.style === 'student' ? format : null,
      drawnBy(sampling),
      questionsPerBatch,
      seed,
      weights,
    ],
    models.map(({ model, name, dtype, server, requests }) => [model, name, dtype, server && requests.api]),
    config.tasks.map(({ grader, task }) => [grader, task]),
    tasks.map(({ name, user, questions }) => [
      name,
      user,
      questions.map(({ question, answer }) => [question, answer]),
    ]),
  ]
}
