import type { Phase } from '../../report/index.js'
import {
  type ExplanationGroup,
  type Request,
  type SampleListeners,
  sampleExplanations as sample,
} from '../shared/sampling.js'
import type { Session } from './session.js'

/**
 * The teacher, as it is now, explains each question `samples` times. In training a server may, as the teacher was when it
 * got its weights; what is measured on held-out questions is always the teacher itself.
 */
export async function sampleExplanations(
  requests: readonly Request[],
  { teacher, config, run, server }: Session,
  step: number,
  { phase = 'sample', onStatistics }: { phase?: Phase; onStatistics?: SampleListeners['onStatistics'] } = {},
): Promise<ExplanationGroup[]> {
  const total = requests.reduce((sum, request) => sum + request.samples, 0)
  let done = 0
  run.phase(phase, step, done, total)
  const onSample = () => run.phase(phase, step, ++done, total)
  if (server !== undefined && phase === 'sample') return server.sample(requests, teacher, onSample)
  return sample(requests, teacher, config, {
    signal: run.signal,
    onSample,
    onStatistics,
  })
}
