import { type Explanation, explanationOf, type Row, stopsOf } from '../../data/index.js'
import type { SampledGroup } from '../../engine/index.js'
import type { Phase } from '../../report/index.js'
import type { Request } from './questions.js'
import type { Session } from './session.js'

/** The explanations of one question. Completions are the suffixes. */
export interface ExplanationGroup extends SampledGroup {
  row: Row
  /** What of each completion is the explanation. */
  explanations: Explanation[]
}

/** The teacher explains each question `samples` times. */
export async function sampleExplanations(
  requests: readonly Request[],
  { teacher, config, run }: Session,
  step: number,
  phase: Phase = 'sample',
): Promise<ExplanationGroup[]> {
  const { temperature, topP, topK, minP, maxNewTokens } = config.sampling
  const total = requests.reduce((sum, request) => sum + request.samples, 0)
  let done = 0
  run.phase(phase, step, done, total)
  const groups = await teacher.sample(requests, {
    ...{ temperature, topP, topK, minP, maxNewTokens },
    stop: stopsOf(config.format, teacher.configuration.endOfSequenceTokens),
    onSample: () => run.phase(phase, step, ++done, total),
    ...(run.signal ? { signal: run.signal } : {}),
  })
  return groups.map((group, i) => ({
    ...group,
    row: requests[i]!.row,
    explanations: group.suffixes.map((completion, j) =>
      explanationOf(completion, group.finish[j] === 'stop', config.format, teacher.tokenizer),
    ),
  }))
}
