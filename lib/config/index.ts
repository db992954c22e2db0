export { type FormatTexts, formatPlaceholders, formatStyles } from './formats.js'
export { formatConfig, type LoadedConfig, loadConfig, parseConfig, presetNames } from './load.js'
export { loadRunConfig } from './resume.js'
export {
  type DataColumn,
  type DataSource,
  type FormatConfig,
  type RewardConfig,
  type SamplingConfig,
  type TrainConfig,
  type TrainConfigInput,
  trainSchema,
} from './schema.js'
export { describeOptions } from './validate.js'
