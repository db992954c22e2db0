/** From rows to new weights: the mean loss over all tokens of the step's completions, and AdamW. */
import type { Example } from '../../data/index.js'
import type { PerToken, TokenGroup } from '../../engine/index.js'
import { type Batch, lossTokensOf } from './batches.js'
import type { SftSession } from './session.js'

export interface UpdateStatistics {
  /** Mean negative log-likelihood of a completion's token, in nats, before the update. */
  loss: number
  /** Mean over those tokens of the entropy of the model's prediction, in nats. */
  entropy: number
  gradNorm: number
  /** Whether the update was left out because a gradient was not finite. */
  skipped: boolean
}

/** One update. Once its weights have begun to change, it is brought to its end even if the run is aborted. */
export async function updateModel(
  { examples }: Batch,
  learningRate: number,
  step: number,
  session: SftSession,
): Promise<UpdateStatistics> {
  const { model, optimizer, config, run, callOptions } = session
  const { loss, entropy } = await model.backward(
    examples.map(tokenGroup),
    { kind: 'sft', weights: tokenMean(examples) },
    {
      checkpointing: session.checkpointing.policy,
      onProgress: share => run.phase('train', step, Math.round(share * examples.length), examples.length),
      ...callOptions,
    },
  )
  session.betweenSteps = false
  const { maxGradNorm } = config.optimizer
  const { gradNorm, skipped } = await optimizer.step({
    learningRate,
    ...(maxGradNorm ? { maxGradNorm } : {}),
  })
  if (skipped) run.warn(`step ${step}: a gradient is not finite, so the weights were left as they were`)
  return { loss, entropy, gradNorm, skipped }
}

export function tokenGroup({ prompt, completion }: Example): TokenGroup {
  return { prefix: prompt, suffixes: [completion] }
}

/** Every token counts the same, however long its row is. */
export function tokenMean(examples: readonly Example[]): PerToken {
  const weight = 1 / lossTokensOf(examples)
  return examples.map(({ completion }) => [new Float32Array(completion.length).fill(weight)])
}
