/** Sampling, scoring and training on random tokens. */
import type { Model, SamplingStatistics, TokenGroup } from '../engine/index.js'
import type { PieceOfWork } from './workloads.js'

export interface DonePiece {
  /** Those generated, or all tokens of all sequences that are scored or trained on, however often each is computed. */
  tokens: number
  /** Of sampling only. */
  sampling?: SamplingStatistics
}

export async function doPiece(model: Model, work: PieceOfWork, signal?: AbortSignal): Promise<DonePiece> {
  if (work.kind === 'generate') return generate(model, work, signal)
  return {
    tokens: await (work.kind === 'logprobs' ? score(model, work, signal) : backward(model, work, signal)),
  }
}

type Generating = PieceOfWork & { kind: 'generate' }

async function generate(model: Model, work: Generating, signal?: AbortSignal): Promise<DonePiece> {
  const { prompts, samples, promptTokens, newTokens, cachePercent } = work
  const done: DonePiece = { tokens: prompts * samples * newTokens }
  await model.sample(
    Array.from({ length: prompts }, () => ({ prefix: randomTokens(model, promptTokens), samples })),
    {
      ...{ maxNewTokens: newTokens, stop: [], signal },
      cacheBytes: cachePercent === undefined ? null : (cachePercent / 100) * fullCacheBytes(model, work),
      onStatistics: statistics => {
        done.sampling = statistics
      },
    },
  )
  return done
}

/** Keys and values of all prompts and samples at once, each in blocks of 16 tokens of its own. */
function fullCacheBytes({ configuration, dtype }: Model, work: Generating): number {
  const { layers, keyValueHeads, headSize } = configuration
  const inBlocks = (count: number) => 16 * Math.ceil(count / 16)
  const tokens = work.prompts * (inBlocks(work.promptTokens) + work.samples * inBlocks(work.newTokens))
  return tokens * 2 * layers * keyValueHeads * headSize * (dtype === 'bfloat16' ? 2 : 4)
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
