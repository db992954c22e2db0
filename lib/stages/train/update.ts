/** From advantages to new weights: the policy loss, and AdamW. */
import { permutation, purposes } from '../../data/index.js'
import type { LossStatistics, PerToken } from '../../engine/index.js'
import type { ExplanationGroup } from '../shared/sampling.js'
import type { StepAdvantages } from './advantages.js'
import { correctionOf, type ImportanceSampling, importanceSampling } from './importanceSampling.js'
import { policyLoss } from './loss.js'
import type { Session } from './session.js'

export interface UpdateInput {
  groups: readonly ExplanationGroup[]
  /** One a group. */
  advantages: readonly StepAdvantages[]
  /** `[group][completion][token]`; undefined where nothing ties the teacher. */
  referenceLogProbs: Float32Array[][] | undefined
  learningRate: number
  step: number
}

/** What the updates of a step did; means over its tokens, or over its updates. */
export interface UpdateStatistics {
  loss: number
  /** Of the policy, in nats a token. */
  entropy: number
  klReference: number
  clipFraction: number
  ratioMean: number
  gradNorm: number
  /** Updates left out because a gradient was not finite. */
  skippedUpdates: number
  /** Mean of |log-probability when sampled - when recomputed|, raw. */
  samplerTrainerGap: number
  /** Of the correction by importance sampling; undefined where there is none. */
  importance: Omit<ImportanceSampling, 'weights'> | undefined
}

/**
 * `epochs` passes over the completions, each in `minibatches` updates.
 *
 * The first update is on-policy: its ratio is exactly 1 and no old log-probabilities are needed; those that it
 * recomputes on the way are the old ones of the updates that follow, and show how far sampler and trainer are apart.
 * With several minibatches, the weights change before the later ones are seen, so they are all computed before; so they
 * are where samples are corrected for by importance sampling.
 */
export async function updateTeacher(input: UpdateInput, session: Session): Promise<UpdateStatistics> {
  const { groups, learningRate, step } = input
  const { teacher, optimizer, config, run, callOptions } = session
  const { epochs, minibatches } = config.algorithm
  const correction = correctionOf(config)
  const { maxGradNorm } = config.optimizer
  const { temperature } = config.sampling
  const updates = epochs * minibatches

  const recomputeFirst = minibatches > 1 || correction.correct !== 'none'
  let old = recomputeFirst ? await teacher.logProbs(groups, { temperature, ...callOptions }) : undefined
  const sampled = groups.map(group => group.logProbs)
  const corrected = old && importanceSampling(sampled, old, correction)
  const statistics: { loss: LossStatistics; gradNorm: number; skipped: boolean }[] = []
  await teacher.zeroGradients()
  for (let update = 0; update < updates; update++) {
    const members = membersOf(update, input, session)
    const loss = await teacher.backward(
      members.map(g => groups[g]!),
      policyLoss(
        {
          groups: members.map(g => groups[g]!),
          advantages: members.map(g => input.advantages[g]!),
          referenceLogProbs: pick(members, input.referenceLogProbs),
          oldLogProbs: pick(members, update === 0 ? undefined : old),
          importanceWeights: pick(members, corrected?.weights),
        },
        config,
      ),
      {
        temperature,
        checkpointing: session.checkpointing.policy,
        onProgress: share => run.phase('train', step, update + share, updates),
        ...callOptions,
        // Once the weights have changed, the step is brought to its end even if the run is aborted.
        ...(session.betweenSteps ? {} : { signal: undefined }),
      },
    )
    old ??= loss.logProbs
    session.betweenSteps = false
    const { gradNorm, skipped } = await optimizer.step({
      learningRate,
      ...(maxGradNorm ? { maxGradNorm } : {}),
    })
    if (skipped) run.warn(`step ${step}: a gradient is not finite, so the weights were left as they were`)
    statistics.push({ loss, gradNorm, skipped })
  }
  return {
    ...summary(statistics),
    samplerTrainerGap: gapOf(sampled, old!),
    importance: corrected,
  }
}

function pick(members: readonly number[], perGroup: PerToken | undefined): PerToken | undefined {
  return perGroup && members.map(g => perGroup[g]!)
}

/** The groups of one update. A group is never split: its advantages are relative to each other. */
function membersOf(update: number, { groups, step }: UpdateInput, { config }: Session): number[] {
  const { minibatches } = config.algorithm
  if (minibatches === 1) return groups.map((_, g) => g)
  const epoch = Math.floor(update / minibatches)
  const order = permutation(groups.length, config.training.seed, purposes.minibatches, step, epoch)
  const size = groups.length / minibatches
  const start = (update % minibatches) * size
  return [...order.subarray(start, start + size)]
}

function summary(updates: readonly { loss: LossStatistics; gradNorm: number; skipped: boolean }[]) {
  const tokens = updates.reduce((sum, { loss }) => sum + loss.tokens, 0)
  const perToken = (value: (loss: LossStatistics) => number) =>
    updates.reduce((sum, { loss }) => sum + value(loss) * loss.tokens, 0) / Math.max(1, tokens)
  const perUpdate = (value: (update: (typeof updates)[number]) => number) =>
    updates.reduce((sum, update) => sum + value(update), 0) / updates.length
  return {
    loss: perUpdate(({ loss }) => loss.loss),
    entropy: perToken(loss => loss.entropy),
    klReference: perToken(loss => loss.klReference),
    clipFraction: perToken(loss => loss.clipFraction),
    ratioMean: perToken(loss => loss.ratioMean),
    gradNorm: perUpdate(({ gradNorm }) => gradNorm),
    skippedUpdates: updates.filter(({ skipped }) => skipped).length,
  }
}

/** Of the tokens whose sampler's probability is known; NaN where there are none. */
function gapOf(sampled: PerToken, recomputed: PerToken): number {
  let sum = 0
  let tokens = 0
  for (const [g, group] of sampled.entries())
    for (const [c, logProbs] of group.entries())
      for (let t = 0; t < logProbs.length; t++) {
        if (Number.isNaN(logProbs[t])) continue
        sum += Math.abs(logProbs[t]! - recomputed[g]![c]![t]!)
        tokens++
      }
  return sum / tokens
}
