import { impossibleCombinations } from '../combinations.js'
import { type TrainConfig, trainSchema } from '../schema.js'
import type { ConfigKind } from './kind.js'

/** Configuration of `rlt train`. */
export const trainKind: ConfigKind<TrainConfig> = {
  name: 'train',
  schema: trainSchema,
  checkCombinations: impossibleCombinations,
  placeholders: { teacher: { model: '?' }, students: [{ model: '?' }], data: { train: { path: '?' } } },
}
