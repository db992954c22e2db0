export type { Checkpoint, CheckpointState, FoundCheckpoint } from './checkpoints.js'
export { RunError } from './errors.js'
export { appendDurably, flushTree, writeFileAtomic } from './files.js'
export { lockFolder } from './lock.js'
export {
  type CompletionRow,
  listCompletions,
  type MetricsRow,
  RunFolder,
  readEvaluations,
  readMetrics,
} from './run-folder.js'
