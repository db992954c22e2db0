import { peakMemoryBytes } from '../../engine/index.js'
import type { MetricsRow } from '../../runs/index.js'
import { type Batch, lossTokensOf, tokensOf } from './batches.js'
import type { UpdateStatistics } from './update.js'

export interface FinishedStep {
  step: number
  batch: Batch
  update: UpdateStatistics
  learningRate: number
  /** When the step began, by performance.now(). */
  started: number
  /** Backward passes, by `passes/POLICY` of checkpointing. */
  passes: Record<string, number>
}

/**
 * One row of metrics.jsonl. `loss` and `entropy` are means over the step's completion tokens (`loss_tokens`), in nats;
 * `tokens` is these and the prompts', and `tokens_per_second` those by the seconds of the step; `passes/POLICY` is how many
 * backward passes kept activations by which policy of `training.checkpointing`.
 */
export function metricsRow({ step, batch, update, learningRate, started, passes }: FinishedStep): MetricsRow {
  const tokens = tokensOf(batch.examples)
  const seconds = (performance.now() - started) / 1000
  return {
    step,
    loss: update.loss,
    entropy: update.entropy,
    epoch: batch.epoch,
    rows: batch.examples.length,
    loss_tokens: lossTokensOf(batch.examples),
    tokens,
    lr: learningRate,
    grad_norm: update.gradNorm,
    skipped_updates: update.skipped ? 1 : 0,
    seconds,
    tokens_per_second: tokens / seconds,
    peak_memory_bytes: peakMemoryBytes(),
    ...passes,
  }
}
