/** Sampling, scoring and training on random tokens. */
import type { Model, TokenGroup } from '../engine/index.js'
import type { PieceOfWork } from './workloads.js'

/**
 * Does a piece of work and says of how many tokens it was: those generated, or all tokens of all sequences that are
 * scored or trained on, whether or not some are computed once for several sequences.
 */
export function doPiece(model: Model, work: PieceOfWork, signal?: AbortSignal): Promise<number> {
  if (work.kind === 'generate') return generate(model, work, signal)
  return work.kind === 'logprobs' ? score(model, work, signal) : backward(model, work, signal)
}

async function generate(model: Model, work: PieceOfWork & { kind: 'generate' }, signal?: AbortSignal) {
  const { prompts, samples, promptTokens, newTokens } = work
  const groups = await model.sample(
    Array.from({ length: prompts }, () => ({ prefix: randomTokens(model, promptTokens), samples })),
    { maxNewTokens: newTokens, stop: [], signal },
  )
  return groups.flatMap(group => group.suffixes).reduce((sum, suffix) => sum + suffix.length, 0)
}

async function score(model: Model, work: PieceOfWork & { kind: 'logprobs' }, signal?: AbortSignal) {
  const { sequences, sharedTokens, ownTokens } = work
  const suffixes = Array.from({ length: sequences }, () => randomTokens(model, ownTokens))
  await model.logProbs([{ prefix: randomTokens(model, sharedTokens), suffixes }], { signal })
  return sequences * (sharedTokens + ownTokens)
}

/** Of the mean of -log p over all tokens but each sequence's first, which nothing predicts. */
async function backward(model: Model, work: PieceOfWork & { kind: 'backward' }, signal?: AbortSignal) {
  const { sequences, sequenceTokens } = work
  const groups: TokenGroup[] = Array.from({ length: sequences }, () => {
    const tokens = randomTokens(model, sequenceTokens)
    return { prefix: tokens.subarray(0, 1), suffixes: [tokens.subarray(1)] }
  })
  const weight = 1 / (sequences * (sequenceTokens - 1))
  const weights = groups.map(({ suffixes }) =>
    suffixes.map(({ length }) => new Float32Array(length).fill(weight)),
  )
  await model.backward(groups, { kind: 'sft', weights }, { signal })
  return sequences * sequenceTokens
}

function randomTokens(model: Model, length: number): Int32Array {
  const { vocabularySize } = model.configuration
  return Int32Array.from({ length }, () => Math.floor(Math.random() * vocabularySize))
}
