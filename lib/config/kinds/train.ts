import { impossibleCombinations } from '../combinations.js'
import { type TrainConfig, trainSchema } from '../schema.js'
import type { RunKind } from './kind.js'

/** Configuration of `rlt train`. */
export const trainKind: RunKind<TrainConfig> = {
  name: 'train',
  schema: trainSchema,
  checkCombinations: impossibleCombinations,
  placeholders: { teacher: { model: '?' }, students: [{ model: '?' }], data: { train: { path: '?' } } },
  changeable: [
    'device',
    'threads',
    'sampling.cacheBytes',
    'sampling.prefillTokens',
    'training.steps',
    'training.tokenBudget',
    'training.checkpointing',
    'training.memoryBudget',
    'training.saveEvery',
    'training.keepCheckpoints',
    'training.evaluateEvery',
    'training.heldOutCompletions',
  ],
}
