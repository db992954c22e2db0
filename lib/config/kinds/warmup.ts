/** Configuration of `rlt warmup`: a teacher learns the format of explanations from reasoning traces. */
import { z } from 'zod'
import { trainedModel } from '../schema.js'
import type { RunKind } from './kind.js'
import { checkSft, sftChangeable, sftShape } from './sft.js'

export const warmupSchema = z.strictObject({ teacher: trainedModel, ...sftShape('runs/warmup') })

export type WarmupConfig = z.output<typeof warmupSchema>
export type WarmupConfigInput = z.input<typeof warmupSchema>

export const warmupKind: RunKind<WarmupConfig> = {
  name: 'warmup',
  schema: warmupSchema,
  checkCombinations: ({ teacher, ...rest }) => checkSft('teacher', { model: teacher, ...rest }),
  placeholders: { teacher: { model: '?' }, data: { train: { path: '?' } } },
  changeable: sftChangeable,
}
