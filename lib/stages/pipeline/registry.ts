/**
 * The stages that a pipeline can have. Each says where its output goes, what of its configuration names its inputs, and
 * how it is run or gone on with; all else about a pipeline is the same for every stage.
 */
import type { ConfigKind } from '../../config/index.js'
import { evaluateStage } from './stages/evaluate.js'
import { explainStage } from './stages/explain.js'
import { rankStage } from './stages/rank.js'
import { distillStage, warmupStage } from './stages/sft.js'
import { trainStage } from './stages/train.js'

export interface StageProgress {
  done: number
  total: number
  /** What is counted: steps, questions, rows. */
  unit: string
  /** Null where the stage has none. */
  meanReward: number | null
}

export interface StageRun {
  /** The stage's own folder, which exists. */
  folder: string
  /** Whether the folder may hold the beginning of the same work. */
  resume: boolean
  signal: AbortSignal | undefined
  message(text: string, level: 'info' | 'warning'): void
  progress(progress: StageProgress): void
}

export interface PipelineStage<Config extends object = object> {
  kind: ConfigKind<Config>
  /** Options that the pipeline sets, so that all output is in the stage's folder. */
  placed(folder: string): object
  /** Options that the pipeline sets where the configuration leaves them open. */
  suggested?(folder: string): object
  /** Paths of the configuration whose values name files or models that are read: `students[].model`. */
  inputs: readonly string[]
  /** What others may refer to as `${stages.NAME.KEY}`, and where it is when the stage is complete. */
  outputs(config: Config, folder: string): Record<string, string>
  /** @returns false if the stage was stopped by its signal; it can then be gone on with */
  run(config: Config, run: StageRun): Promise<boolean>
}

export const pipelineStages: Readonly<Record<string, PipelineStage>> = {
  warmup: warmupStage,
  train: trainStage,
  explain: explainStage,
  distill: distillStage,
  evaluate: evaluateStage,
  rank: rankStage,
}
