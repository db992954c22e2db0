/** A teacher at an OpenAI-compatible server. */
import type { ExplainConfig } from '../../config/index.js'
import { teacherPromptText, teacherTurns } from '../../data/index.js'
import type { Tokenizer } from '../../models/index.js'
import { messagesOf, SamplingServer, type ServerSample } from '../shared/sampling-server.js'
import type { SampledExplanations } from './selection.js'
import type { PlacedRequest } from './session.js'

export class ServerTeacher {
  private readonly server: SamplingServer

  constructor(
    private readonly config: ExplainConfig,
    signal: AbortSignal | undefined,
  ) {
    const { teacher } = config
    this.server = new SamplingServer({ ...teacher, server: teacher.server! }, 'teacher', signal)
  }

  /** @throws {ServerError} the server cannot be reached, refuses all, or fails for all questions */
  async sample(
    requests: readonly PlacedRequest[],
    tokenizer: Tokenizer,
    onSample: () => void,
  ): Promise<SampledExplanations[]> {
    const { format, sampling } = this.config
    const jobs = requests.flatMap((request, question) =>
      Array.from({ length: request.samples }, (_, sample) => ({
        prompt: this.prompt(request, tokenizer),
        seed: request.seed + BigInt(sample),
        question,
      })),
    )
    const stop = format.endOfExplanation === 'endOfTurn' ? [] : [format.endOfExplanation.tag]
    const samples = await this.server.sample(jobs, sampling, stop, onSample)
    const each = sampling.completions
    return requests.map((request, i) =>
      this.group(request, samples.slice(i * each, (i + 1) * each), tokenizer),
    )
  }

  private prompt({ row }: PlacedRequest, tokenizer: Tokenizer) {
    const { teacher, format } = this.config
    return teacher.requests.api === 'completions'
      ? teacherPromptText(row, format, tokenizer)
      : messagesOf(teacherTurns(row, format))
  }

  /** What of a sample is the explanation, and whether it was ended. */
  private explanation({ text, stopped, cause }: ServerSample): { text: string; ended: boolean } {
    const { endOfExplanation } = this.config.format
    if (endOfExplanation === 'endOfTurn') return { text, ended: stopped }
    const { tag } = endOfExplanation
    const at = text.indexOf(tag)
    if (at >= 0) return { text: text.slice(0, at), ended: true }
    // The tag that ended it is cut off. A server that tells what did may say that it was the end of the turn.
    return { text, ended: stopped && (cause === undefined || cause === tag) }
  }

  private group(
    { row, place, prefix }: PlacedRequest,
    samples: readonly ServerSample[],
    tokenizer: Tokenizer,
  ): SampledExplanations {
    const given = samples.filter(({ refusal }) => refusal === undefined).map(one => this.explanation(one))
    const explanations = given.map(({ text, ended }) => ({ tokens: tokenizer.encode(text), rest: '', ended }))
    return {
      ...{ row, place, prefix, explanations },
      ...{ suffixes: explanations.map(({ tokens }) => tokens), texts: given.map(({ text }) => text) },
      finish: given.map(({ ended }) => (ended ? 'stop' : 'length')),
      refusals: samples.flatMap(({ refusal }) => refusal ?? []),
    }
  }
}
