/** A teacher at an OpenAI-compatible server: vLLM, SGLang, llama-server. */
import type { ExplainConfig } from '../../config/index.js'
import { teacherPromptText, teacherTurns } from '../../data/index.js'
import { ConfigurationError, ServerError } from '../../errors.js'
import type { Tokenizer } from '../../models/index.js'
import { type Answer, JsonClient } from './json-client.js'
import type { SampledExplanations } from './selection.js'
import type { PlacedRequest } from './session.js'

/** One choice of an answer, as much as is looked at. */
interface Choice {
  text?: string | null
  message?: { content?: string | null }
  finish_reason?: string | null
  /** vLLM: the text or token that ended it; null for the end of the turn. */
  stop_reason?: string | number | null
  /** SGLang: the same. */
  matched_stop?: string | number | null
}

/** One explanation, or why there is none. */
interface Sample {
  text: string
  ended: boolean
  refusal?: string
}

export class ServerTeacher {
  private readonly client: JsonClient

  constructor(
    private readonly config: ExplainConfig,
    private readonly signal: AbortSignal | undefined,
  ) {
    const { server, apiKeyVariable, requests } = config.teacher
    const key = apiKeyVariable === null ? undefined : process.env[apiKeyVariable]
    if (apiKeyVariable !== null && !key)
      throw new ConfigurationError(
        `teacher.apiKeyVariable: the environment has no variable ${apiKeyVariable}; set it to the server's key`,
      )
    this.client = new JsonClient(server!, { ...requests, bearer: key })
  }

  /**
   * Each sample is a request of its own (servers cache the prompt that they share), with a seed of its own.
   * @throws {ServerError} the server cannot be reached, refuses all, or fails for all questions
   */
  async sample(
    requests: readonly PlacedRequest[],
    tokenizer: Tokenizer,
    onSample: () => void,
  ): Promise<SampledExplanations[]> {
    const jobs = requests.flatMap(request =>
      Array.from({ length: request.samples }, (_, sample) => ({ request, sample })),
    )
    let failure: unknown
    const { concurrency } = this.config.teacher.requests
    const samples = await inParallel(jobs, concurrency, this.signal, async ({ request, sample }, signal) => {
      const result = await this.sampleOnce(request, sample, tokenizer, signal).catch((error): Sample => {
        if (!(error instanceof ServerError && error.ofRequest)) throw error
        failure ??= error
        return { text: '', ended: false, refusal: error.message }
      })
      onSample()
      return result
    })
    // What is so of every question is no matter of the questions.
    if (requests.length > 1 && samples.every(({ refusal }) => refusal !== undefined)) throw failure
    const each = this.config.sampling.completions
    return requests.map((request, i) =>
      this.group(request, samples.slice(i * each, (i + 1) * each), tokenizer),
    )
  }

  private async sampleOnce(
    request: PlacedRequest,
    sample: number,
    tokenizer: Tokenizer,
    signal: AbortSignal,
  ): Promise<Sample> {
    const { teacher, format, sampling } = this.config
    const { endOfExplanation } = format
    const body = {
      model: teacher.model,
      ...{ max_tokens: sampling.maxNewTokens, temperature: sampling.temperature },
      // Servers take a seed of 31 bits.
      seed: Number(BigInt.asUintN(31, request.seed + BigInt(sample))),
      ...(sampling.topP < 1 ? { top_p: sampling.topP } : {}),
      ...(sampling.topK > 0 ? { top_k: sampling.topK } : {}),
      ...(sampling.minP > 0 ? { min_p: sampling.minP } : {}),
      ...(endOfExplanation === 'endOfTurn' ? {} : { stop: [endOfExplanation.tag] }),
    }
    if (teacher.requests.api === 'completions') {
      const prompt = teacherPromptText(request.row, format, tokenizer)
      return this.read(await this.client.post('completions', { ...body, prompt }, signal))
    }
    const { system, user, assistant } = teacherTurns(request.row, format)
    const messages = [
      ...(system === '' ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: user },
      ...(assistant === '' ? [] : [{ role: 'assistant', content: assistant }]),
    ]
    // A turn that is begun is to be gone on with; llama-server does so without being told.
    const goOn = assistant === '' ? {} : { continue_final_message: true, add_generation_prompt: false }
    return this.read(await this.client.post('chat/completions', { ...body, ...goOn, messages }, signal))
  }

  private read({ value, url }: Answer): Sample {
    const choice = (value as { choices?: Choice[] } | null)?.choices?.[0]
    if (choice === undefined)
      throw new ServerError(
        `${url}: the answer has no choices; expected that of an OpenAI-compatible server`,
        false,
      )
    const whole = choice.message?.content ?? choice.text ?? ''
    const stopped = choice.finish_reason === 'stop'
    const { endOfExplanation } = this.config.format
    if (endOfExplanation === 'endOfTurn') return { text: whole, ended: stopped }
    const { tag } = endOfExplanation
    const at = whole.indexOf(tag)
    if (at >= 0) return { text: whole.slice(0, at), ended: true }
    // The tag that ended it is cut off. A server that tells what did may say that it was the end of the turn.
    const cause = 'stop_reason' in choice ? choice.stop_reason : choice.matched_stop
    return { text: whole, ended: stopped && (cause === undefined || cause === tag) }
  }

  private group(
    { row, place, prefix }: PlacedRequest,
    samples: readonly Sample[],
    tokenizer: Tokenizer,
  ): SampledExplanations {
    const given = samples.filter(({ refusal }) => refusal === undefined)
    const explanations = given.map(({ text, ended }) => ({ tokens: tokenizer.encode(text), rest: '', ended }))
    return {
      ...{ row, place, prefix, explanations },
      ...{ suffixes: explanations.map(({ tokens }) => tokens), texts: given.map(({ text }) => text) },
      finish: given.map(({ ended }) => (ended ? 'stop' : 'length')),
      refusals: samples.flatMap(({ refusal }) => refusal ?? []),
    }
  }
}

/** As many at a time; the results are in the order of the items. An error ends what else is under way. */
async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  outer: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  const failed = new AbortController()
  const signal = outer === undefined ? failed.signal : AbortSignal.any([outer, failed.signal])
  let next = 0
  const worker = async () => {
    while (next < items.length && !signal.aborted) {
      const index = next++
      try {
        results[index] = await work(items[index]!, signal)
      } catch (error) {
        failed.abort()
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  return results
}
