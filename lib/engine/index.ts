export { AdamW, type AdamWOptions, type StepOptions, type StepResult } from './adamw.js'
export type { SystemInformation } from './addon.js'
export {
  type Checkpointing,
  checkpointingPolicies,
  scoringActivationBytes,
  trainingActivationBytes,
} from './checkpointing.js'
export type { LoraOptions } from './lora.js'
export type { GrpoLoss, Loss, LossStatistics, SftLoss } from './loss.js'
export { type BackwardOptions, type LoadOptions, type LogProbsOptions, Model } from './model.js'
export type {
  FinishedSample,
  SampledToken,
  SampleOptions,
  SampleRequest,
  SamplingFinish,
  SamplingStatistics,
} from './sampling.js'
export type { SaveOptions } from './save.js'
export { defaultDtype, peakMemoryBytes, resetPeakMemory, systemInformation } from './system.js'
export type { CallOptions, Dtype, PerToken, SampledGroup, TokenGroup, Tokens } from './types.js'
export { type TokensWorked, tokensWorked } from './work.js'
