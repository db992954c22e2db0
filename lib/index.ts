export {
  type DistillConfig,
  type DistillConfigInput,
  distillKind,
  type EvaluateConfig,
  type EvaluateConfigInput,
  type ExplainConfig,
  type ExplainConfigInput,
  evaluateKind,
  explainKind,
  formatConfig,
  type LoadedConfig,
  loadConfig,
  parseConfig,
  presetNames,
  type RankConfig,
  type RankConfigInput,
  rankKind,
  type TrainConfig,
  type TrainConfigInput,
  trainKind,
  type WarmupConfig,
  type WarmupConfigInput,
  warmupKind,
} from './config/index.js'
export {
  type CountdownCheck,
  type CountdownOptions,
  type CountdownProblem,
  checkCountdown,
  countdownProblem,
  formatCalculation,
  gradeCountdown,
  solveCountdown,
  workedSolution,
} from './countdown/index.js'
export * from './engine/index.js'
export * from './errors.js'
export {
  type AnswerKind,
  extractAnswer,
  type Grade,
  type GradeOptions,
  gradeAnswer,
} from './grading/index.js'
export { type ChatMessage, type ModelFiles, resolveModel, type Tokenizer } from './models/index.js'
export {
  batchAdvantages,
  groupAdvantages,
  klPerToken,
  leaveOneOutAdvantages,
  type TeacherReward,
  type TeacherRewardInput,
  type TeacherRewardOptions,
  teacherReward,
  teacherRewardDefaults,
} from './rewards/index.js'
export { distill } from './stages/distill.js'
export {
  type Comparison,
  type Estimate,
  type EvaluateEvent,
  type EvaluateOptions,
  type EvaluateResult,
  evaluate,
  type GradedQuestion,
  type GradedSample,
  type McNemar,
  type ModelResult,
  mcNemar,
  type PairedDifference,
  passAtK,
} from './stages/evaluate.js'
export {
  type ExplainEvent,
  type ExplainOptions,
  type ExplainResult,
  explain,
} from './stages/explain.js'
export {
  loadPipeline,
  type Pipeline,
  type PipelineConfigInput,
  PipelineError,
  type PipelineEvent,
  type PipelineOptions,
  type PipelineResult,
  planPipeline,
  runPipeline,
  type StageCost,
  type StageSummary,
} from './stages/pipeline.js'
export { type Plan, type PlanOptions, plan } from './stages/plan.js'
export {
  type RankEvent,
  type RankOptions,
  type RankResult,
  type RewardDistribution,
  rank,
} from './stages/rank.js'
export type { SftResult } from './stages/sft/finetune.js'
export { type TrainOptions, type TrainResult, train } from './stages/train.js'
export { warmup } from './stages/warmup.js'
