export {
  type AdvantageOptions,
  batchAdvantages,
  type GroupAdvantages,
  groupAdvantages,
  leaveOneOutAdvantages,
} from './advantages.js'
export {
  type ComposedReward,
  composeReward,
  missingEndReward,
  type StudentScore,
  type TermScore,
} from './compose.js'
export { type KlEstimator, klPerToken } from './kl.js'
export { type NaturalnessOptions, naturalness } from './naturalness.js'
export { type Reduction, type ReductionWeights, reductions, weightedReductions } from './reductions.js'
export {
  type TeacherReward,
  type TeacherRewardInput,
  type TeacherRewardOptions,
  teacherReward,
  teacherRewardDefaults,
} from './teacherReward.js'
export { type UnderstandingOptions, understanding } from './understanding.js'
export { loadTerms, type Term, type TermFunction, type TermInput } from './userModule.js'
