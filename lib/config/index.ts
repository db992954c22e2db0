export { type FormatTexts, formatPlaceholders, formatStyles } from './formats.js'
export { type DistillConfig, type DistillConfigInput, distillKind } from './kinds/distill.js'
export {
  type EvaluateConfig,
  type EvaluateConfigInput,
  type EvaluatedModel,
  type EvaluationTask,
  evaluateKind,
  evaluationTasks,
  labelOfModel,
  labelOfTask,
} from './kinds/evaluate.js'
export { type ExplainConfig, type ExplainConfigInput, explainKind } from './kinds/explain.js'
export type { ConfigKind, RunKind } from './kinds/kind.js'
export { type RankConfig, type RankConfigInput, rankKind } from './kinds/rank.js'
export type { SftConfig, TraceColumns, TraceData } from './kinds/sft.js'
export { trainKind } from './kinds/train.js'
export { type WarmupConfig, type WarmupConfigInput, warmupKind } from './kinds/warmup.js'
export { formatConfig, type LoadedConfig, loadConfig, parseConfig, presetNames } from './load.js'
export { type OutputFormat, outputExtensions, outputFormat } from './output-format.js'
export { loadRunConfig } from './resume.js'
export {
  type AlgorithmConfig,
  type DataColumn,
  type DataSource,
  type FormatConfig,
  type RewardConfig,
  type RowSource,
  type SamplingConfig,
  type SamplingServerConfig,
  type TrainConfig,
  type TrainConfigInput,
  trainSchema,
} from './schema.js'
export { describeOptions } from './validate.js'
