/**
 * The policy losses of `algorithm.loss`. All are one formula of the engine, {@link GrpoLoss}; they differ in what a ratio
 * is of, in what is clipped, in how much a token weighs, and in the advantages (`advantages.ts`). With N completions of
 * |o| tokens each in an update, A the advantage and r the probability ratio of a token:
 *
 * - `grpo` (Shao et al. 2024, arXiv 2402.03300, eq. 3): 1/N Σ 1/|o| Σ min(r A, clip(r) A), A over the group's deviation.
 * - `dr-grpo` (Liu et al. 2025, arXiv 2503.20783, section 3.2): 1/N Σ 1/L Σ min(r A, clip(r) A) with L the longest
 *   completion there can be, `sampling.maxNewTokens`; A not divided by a deviation.
 * - `dapo` (Yu et al. 2025, arXiv 2503.14476, eq. 8 to 12): 1/(Σ|o|) ΣΣ min(r A, clip(r) A), Σ|o| over the whole update,
 *   clipped higher than lower; groups that all get the same reward are replaced (`dynamicSampling.ts`).
 * - `gspo` (Zheng et al. 2025, arXiv 2507.18071, eq. 5 and 7): 1/N Σ min(s A, clip(s) A) with s the geometric mean of
 *   the ratios of a completion's tokens.
 * - `cispo` (MiniMax 2025, arXiv 2506.13585, eq. 4 and 5): 1/(Σ|o|) ΣΣ stopgradient(clip(r)) A log p.
 * - `rloo` (Ahmadian et al. 2024, arXiv 2402.14740, REINFORCE leave-one-out): 1/N Σ A log p(o), A leave-one-out. Its gradient is that
 *   of r A where r is 1; in further updates r is clipped as in PPO, which the paper does not need.
 * - `reinforce++` (Hu et al. 2025, arXiv 2501.03262, eq. 8 to 10): 1/N Σ 1/|o| Σ min(r A, clip(r) A), A a token's, with
 *   the KL divergence in it, over the deviation of the whole step.
 *
 * The papers of dr-grpo, dapo, gspo and cispo have no KL divergence: `algorithm.beta` says whether there is one.
 */
import type { AlgorithmConfig, SamplingConfig } from '../../config/index.js'
import type { GrpoLoss, PerToken, TokenGroup } from '../../engine/index.js'
import type { StepAdvantages } from './advantages.js'

interface Variant {
  ratioLevel: 'token' | 'sequence'
  clipping: 'surrogate' | 'weight'
  /** What the weights of a completion's tokens add up to, N times: 1, |o| / L, |o| N / Σ|o|, or |o|. */
  aggregation: 'completionMean' | 'constantLength' | 'tokenMean' | 'completionSum'
}

const grpo: Variant = { ratioLevel: 'token', clipping: 'surrogate', aggregation: 'completionMean' }

const variants: Record<AlgorithmConfig['loss'], Variant> = {
  grpo,
  'dr-grpo': { ...grpo, aggregation: 'constantLength' },
  dapo: { ...grpo, aggregation: 'tokenMean' },
  gspo: { ...grpo, ratioLevel: 'sequence' },
  cispo: { ...grpo, clipping: 'weight', aggregation: 'tokenMean' },
  rloo: { ...grpo, aggregation: 'completionSum' },
  'reinforce++': grpo,
}

export interface LossInput {
  /** The groups of one update. */
  groups: readonly TokenGroup[]
  /** One a group. */
  advantages: readonly StepAdvantages[]
  /** `[group][completion][token]`; undefined where nothing ties the teacher. */
  referenceLogProbs?: PerToken | undefined
  /** Undefined for the first update of a step, whose policy is the one that sampled. */
  oldLogProbs?: PerToken | undefined
  /** What corrects for another sampler than this policy; see `importanceSampling.ts`. */
  importanceWeights?: PerToken | undefined
}

export function policyLoss(
  { groups, advantages, referenceLogProbs, oldLogProbs, importanceWeights }: LossInput,
  { algorithm, sampling }: { algorithm: AlgorithmConfig; sampling: Pick<SamplingConfig, 'maxNewTokens'> },
): GrpoLoss {
  const { ratioLevel, clipping, aggregation } = variants[algorithm.loss]
  const { beta, klIn, clipLow, clipHigh } = algorithm
  const perToken = advantages.map(group => group.tokenAdvantages ?? [...group.advantages])
  return {
    kind: 'grpo',
    ...{ ratioLevel, clipping, clipLow, clipHigh },
    // Where the divergence is in the reward already, it is only measured here.
    beta: klIn === 'loss' ? beta : 0,
    advantages: importanceWeights ? weighted(perToken, importanceWeights) : perToken,
    weights: tokenWeights(groups, aggregation, sampling.maxNewTokens),
    ...(oldLogProbs ? { oldLogProbs } : {}),
    ...(referenceLogProbs ? { referenceLogProbs } : {}),
  }
}

function tokenWeights(
  groups: readonly TokenGroup[],
  aggregation: Variant['aggregation'],
  longest: number,
): Float32Array[][] {
  const lengths = groups.flatMap(({ suffixes }) => suffixes.map(({ length }) => length))
  const completions = lengths.length
  const tokens = lengths.reduce((sum, length) => sum + length, 0)
  const weightOf = {
    completionMean: (length: number) => 1 / (length * completions),
    constantLength: () => 1 / (longest * completions),
    tokenMean: () => 1 / tokens,
    completionSum: () => 1 / completions,
  }[aggregation]
  return groups.map(({ suffixes }) =>
    suffixes.map(({ length }) => new Float32Array(length).fill(weightOf(length))),
  )
}

/** A factor that is not negative can go into the advantage: min(r A, clip(r) A) w = min(r A w, clip(r) A w). */
function weighted(
  advantages: readonly (readonly (number | Float32Array)[])[],
  weights: PerToken,
): Float32Array[][] {
  return weights.map((group, g) =>
    group.map((completion, c) => {
      const advantage = advantages[g]![c]!
      return completion.map(
        (weight, t) => weight * (typeof advantage === 'number' ? advantage : advantage[t]!),
      )
    }),
  )
}
