/** A teacher explains questions. */
import type { FormatConfig, SamplingConfig } from '../../config/index.js'
import { type Explanation, explanationOf, type Row, stopsOf } from '../../data/index.js'
import type { Model, SampledGroup } from '../../engine/index.js'

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

/** The teacher explains each question `samples` times. */
export async function sampleExplanations(
  requests: readonly Request[],
  teacher: Model,
  { sampling, format }: { sampling: SamplingConfig; format: FormatConfig },
  { signal, onSample }: { signal?: AbortSignal | undefined; onSample?: (() => void) | undefined } = {},
): Promise<ExplanationGroup[]> {
  const { temperature, topP, topK, minP, maxNewTokens } = sampling
  const groups = await teacher.sample(requests, {
    ...{ temperature, topP, topK, minP, maxNewTokens, signal },
    stop: stopsOf(format, teacher.configuration.endOfSequenceTokens),
    onSample: () => onSample?.(),
  })
  return groups.map((group, i) => ({
    ...group,
    row: requests[i]!.row,
    explanations: group.suffixes.map((completion, j) =>
      explanationOf(completion, group.finish[j] === 'stop', format, teacher.tokenizer),
    ),
  }))
}
