/** Figures of an evaluation: each model on each task, and each two models beside each other. */
import { type EvaluateConfig, labelOfModel } from '../../config/index.js'
import type { GradedQuestion } from './output.js'
import {
  type Estimate,
  estimate,
  type McNemar,
  mcNemar,
  type PairedDifference,
  pairedDifference,
  passAtK,
} from './statistics.js'
import type { Task } from './tasks.js'

export interface ModelResult {
  model: string
  task: string
  questions: number
  /** Of each question. */
  samples: number
  /** Share of right samples: avg@k for k samples. */
  accuracy: Estimate
  /** By k. */
  passAt: Record<string, Estimate>
  /** Shares of samples: without an answer that could be found; cut off by their length; not had at all. */
  withoutAnswer: number
  cutOff: number
  failed: number
  /** Mean tokens of a sample; null where a server does not tell. */
  tokens: number | null
}

export interface Comparison {
  task: string
  first: string
  second: string
  /** The first model's accuracy less the second's. */
  difference: PairedDifference
  /** Null where there are several samples of a question. */
  mcNemar: McNemar | null
}

export interface EvaluateResult {
  results: ModelResult[]
  comparisons: Comparison[]
  /** Every answer with its grade. */
  outputs: string
  /** False if the work was stopped by its signal; results are then of none. */
  finished: boolean
}

/** @param graded of the model and task at these indices, by the place of the question */
export function figuresOf(
  config: EvaluateConfig,
  tasks: readonly Task[],
  graded: (model: number, task: number) => readonly GradedQuestion[],
): Pick<EvaluateResult, 'results' | 'comparisons'> {
  const resampling = { ...config.bootstrap, seed: config.seed }
  const results: ModelResult[] = []
  const comparisons: Comparison[] = []
  for (const [t, { name: task }] of tasks.entries()) {
    const ofModels = config.models.map((_, m) => graded(m, t))
    const accuracies = ofModels.map(questions => questions.map(shareRight))
    for (const [m, questions] of ofModels.entries()) {
      const samples = questions.flatMap(question => question.samples)
      const share = (holds: (sample: (typeof samples)[number]) => boolean) =>
        samples.filter(holds).length / samples.length
      const pass = (k: number) =>
        questions.map(one =>
          passAtK(one.samples.length, one.samples.filter(({ correct }) => correct).length, k),
        )
      results.push({
        ...{ model: labelOfModel(config.models[m]!), task, questions: questions.length },
        samples: config.sampling.samples,
        accuracy: estimate(accuracies[m]!, resampling),
        passAt: Object.fromEntries(config.passAt.map(k => [k, estimate(pass(k), resampling)])),
        withoutAnswer: share(({ extracted }) => extracted === null),
        cutOff: share(({ finish, failure }) => finish === 'length' && failure === undefined),
        failed: share(({ failure }) => failure !== undefined),
        tokens: samples.some(({ tokens }) => tokens === null)
          ? null
          : samples.reduce((sum, { tokens }) => sum + tokens!, 0) / samples.length,
      })
      for (let other = 0; other < m; other++)
        comparisons.push({
          ...{ task, first: labelOfModel(config.models[other]!), second: labelOfModel(config.models[m]!) },
          difference: pairedDifference(accuracies[other]!, accuracies[m]!, resampling),
          mcNemar:
            config.sampling.samples > 1
              ? null
              : mcNemar(
                  accuracies[other]!.map(value => value === 1),
                  accuracies[m]!.map(value => value === 1),
                ),
        })
    }
  }
  return { results, comparisons }
}

function shareRight({ samples }: GradedQuestion): number {
  return samples.filter(({ correct }) => correct).length / samples.length
}
