/** What the configurations of both stages of supervised fine-tuning, `rlt warmup` and `rlt distill`, have in common. */
import { z } from 'zod'
import { checkAdapters, checkFormat, checkSplits } from '../combinations.js'
import type { Path, Problem } from '../problem.js'
import {
  checkpointing,
  column,
  count,
  countOrZero,
  device,
  format,
  memoryBudget,
  name,
  optimizer,
  seed,
  sourceShape,
  threads,
  tokenBudget,
  trainedModel,
} from '../schema.js'

const columnOr = (usual: string, holds: string) =>
  column().nullable().default(null).describe(`Column (or key) that holds ${holds}; null is ${usual}`)

const traceColumns = z.strictObject({
  question: columnOr('question, or else problem or prompt', 'the question'),
  solution: columnOr('solution', 'the solution'),
  explanation: columnOr('explanation, or else reasoning_trace', 'the explanation'),
  conversation: columnOr(
    'conversations or messages, in rows without an explanation',
    'a conversation instead: question, then explanation and solution in <|begin_of_thought|> and ' +
      '<|begin_of_solution|> tags, or in <think> tags with the solution after it',
  ),
})

const traceSource = { ...sourceShape, columns: traceColumns.prefault({}) }

const data = z.strictObject({
  train: z.strictObject(traceSource),
  heldOut: z
    .strictObject({
      rows: count()
        .optional()
        .describe('Instead of path or hub: the last N rows of data.train, which are then not trained on'),
      ...traceSource,
    })
    .nullable()
    .default(null)
    .describe('Rows to measure the loss on, never trained on; null for none'),
  shuffle: z
    .boolean()
    .default(true)
    .describe('Take the rows in an order drawn from training.seed, anew each epoch'),
  invalidRows: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe('What to do with a row that lacks a column, a text or its tags: refuse it, or leave it out'),
  maxTokens: count().nullable().default(null).describe("Longest row in tokens; null is the model's context"),
  longRows: z
    .enum(['fail', 'skip', 'truncate'])
    .default('fail')
    .describe('What to do with a longer row: refuse it, leave it out, or leave out what is beyond'),
})

const sftOptimizer = optimizer.omit({ warmupSteps: true }).extend({
  learningRate: z.number().gt(0).default(1e-5).describe('Peak learning rate of AdamW'),
  schedule: z
    .enum(['constant', 'linear', 'cosine'])
    .default('cosine')
    .describe('Its course after warm-up, down to 0'),
  warmupShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe('Share of the steps that are linear warm-up from 0'),
})

const training = z.strictObject({
  epochs: z.number().gt(0).default(1).describe('Passes over data.train'),
  steps: count().nullable().default(null).describe('Training steps, in place of epochs; null is by epochs'),
  rowsPerStep: count().default(16).describe('Rows in a step'),
  tokensPerStep: count()
    .nullable()
    .default(null)
    .describe(
      'In place of rowsPerStep: as many rows as fit into so many tokens, at least one; null is by rows',
    ),
  tokenBudget: tokenBudget(),
  checkpointing: checkpointing(),
  memoryBudget: memoryBudget(),
  seed: seed().describe('Decides the order of the data and new adapters'),
  saveEvery: countOrZero().default(100).describe('Steps between checkpoints; 0 saves at the end only'),
  keepCheckpoints: count().default(1).describe('Checkpoints kept beside the best; older ones are removed'),
  evaluateEvery: countOrZero()
    .default(0)
    .describe(
      'Steps between measurements of the loss on data.heldOut; 0 measures before the first step and after the last',
    ),
})

/** @param folder of runs by default */
export const sftShape = (folder: string) => ({
  device: device(),
  threads: threads(),
  data,
  format: format.prefault({}),
  optimizer: sftOptimizer.prefault({}),
  training: training.prefault({}),
  output: z
    .strictObject({
      folder: name().default(folder).describe('The run folder'),
      model: z
        .enum(['best', 'last'])
        .default('best')
        .describe(
          'Which checkpoint becomes model/ in it: that of the lowest loss on data.heldOut, or the last; without held-out ' +
            'rows the last',
        ),
    })
    .prefault({}),
})

const sftSchema = z.strictObject({ model: trainedModel, ...sftShape('') })

/** Either stage's configuration, whatever it calls its model. */
export type SftConfig = z.output<typeof sftSchema>
export type TraceColumns = z.output<typeof traceColumns>
export type TraceData = SftConfig['data']

/** @param role what the configuration calls its model */
export function checkSft(role: 'teacher' | 'student', config: SftConfig): Problem[] {
  const problems: Problem[] = []
  const complain = (path: Path, message: string) => problems.push({ path, message })
  checkAdapters(config.model.lora, [role, 'lora'], complain)
  checkSplits(config, complain)
  checkFormat(config, complain)
  return problems
}

/** Options that can change when a run is gone on with. */
export const sftChangeable: readonly string[] = [
  'device',
  'threads',
  'training.tokenBudget',
  'training.checkpointing',
  'training.memoryBudget',
  'training.saveEvery',
  'training.keepCheckpoints',
  'training.evaluateEvery',
  'output.model',
]
