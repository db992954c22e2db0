/** Configuration of `rlt distill`: a student learns from explanations. */
import { z } from 'zod'
import { trainedModel } from '../schema.js'
import type { RunKind } from './kind.js'
import { checkSft, sftChangeable, sftShape } from './sft.js'

export const distillSchema = z.strictObject({ student: trainedModel, ...sftShape('runs/distill') })

export type DistillConfig = z.output<typeof distillSchema>
export type DistillConfigInput = z.input<typeof distillSchema>

export const distillKind: RunKind<DistillConfig> = {
  name: 'distill',
  schema: distillSchema,
  checkCombinations: ({ student, ...rest }) => checkSft('student', { model: student, ...rest }),
  placeholders: { student: { model: '?' }, data: { train: { path: '?' } } },
  changeable: sftChangeable,
}
