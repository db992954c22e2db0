/** A teacher explains questions. */
import type { FormatConfig, SamplingConfig } from '../../config/index.js'
import { type Explanation, explanationOf, type Row, stopsOf } from '../../data/index.js'
import type { Model, SampledGroup, SamplingStatistics } from '../../engine/index.js'

/** A question to be explained several times. */
export interface Request {
  row: Row
  /** The teacher's prompt. */
  prefix: Int32Array
  samples: number
  seed: bigint
}

/** The explanations of one question. Completions are the suffixes. */
export interface ExplanationGroup extends SampledGroup {
  row: Row
  /** What of each completion is the explanation. */
  explanations: Explanation[]
}

export interface SampleListeners {
  signal?: AbortSignal | undefined
  onSample?: (() => void) | undefined
  onStatistics?: ((statistics: SamplingStatistics) => void) | undefined
}

/** What of the options decides which tokens are drawn: the others are about memory and time. */
export function drawnBy<T extends Pick<SamplingConfig, 'cacheBytes' | 'prefillTokens'>>(sampling: T) {
  const { cacheBytes: _, prefillTokens: __, ...drawn } = sampling
  return drawn
}

/** The teacher explains each question `samples` times. */
export async function sampleExplanations(
  requests: readonly Request[],
  teacher: Model,
  { sampling, format }: { sampling: SamplingConfig; format: FormatConfig },
  { signal, onSample, onStatistics }: SampleListeners = {},
): Promise<ExplanationGroup[]> {
  const { completions: _, ...options } = sampling
  const groups = await teacher.sample(requests, {
    ...{ ...options, signal },
    stop: stopsOf(format, teacher.configuration.endOfSequenceTokens),
    onSample: () => onSample?.(),
    onStatistics: statistics => onStatistics?.(statistics),
  })
  return groups.map((group, i) => ({
    ...group,
    row: requests[i]!.row,
    explanations: group.suffixes.map((completion, j) =>
      explanationOf(completion, group.finish[j] === 'stop', format, teacher.tokenizer),
    ),
  }))
}
