/** A model at an OpenAI-compatible server: vLLM, SGLang, llama-server. */
import { ConfigurationError, ServerError } from '../../errors.js'
import { type Answer, JsonClient } from './json-client.js'

export interface ServerOptions {
  /** Address, as far as /v1. */
  server: string
  /** The name that the server knows it by. */
  model: string
  apiKeyVariable: string | null
  requests: { concurrency: number; timeoutSeconds: number; retries: number }
}

export interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** One sample that is wanted. */
export interface ServerJob {
  /** A text that is gone on with, or messages, the last of which may be a begun turn of the assistant's. */
  prompt: string | Message[]
  seed: bigint
  /** Which question it is of. */
  question: number
}

export interface ServerSampling {
  maxNewTokens: number
  temperature: number
  topP: number
  topK: number
  minP: number
}

export interface ServerSample {
  text: string
  /** By a stop text or the end of the turn, not by its length. */
  stopped: boolean
  /** What ended it, where the server tells: null is the end of the turn. Undefined where it does not tell. */
  cause: string | number | null | undefined
  /** Why there is none. */
  refusal?: string
}

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

export class SamplingServer {
  private readonly client: JsonClient

  /** @param option of the configuration that the server is named in, for messages: teacher, models[0] */
  constructor(
    private readonly options: ServerOptions,
    option: string,
    private readonly signal: AbortSignal | undefined,
  ) {
    const { server, apiKeyVariable, requests } = options
    const key = apiKeyVariable === null ? undefined : process.env[apiKeyVariable]
    if (apiKeyVariable !== null && !key)
      throw new ConfigurationError(
        `${option}.apiKeyVariable: the environment has no variable ${apiKeyVariable}; set it to the server's key`,
      )
    this.client = new JsonClient(server, { ...requests, bearer: key, option })
  }

  /**
   * Each sample is a request of its own (servers cache the prompt that they share), with a seed of its own.
   * @throws {ServerError} the server cannot be reached, refuses all, or fails for all questions
   */
  async sample(
    jobs: readonly ServerJob[],
    sampling: ServerSampling,
    stop: readonly string[],
    onSample: () => void,
  ): Promise<ServerSample[]> {
    let failure: unknown
    const { concurrency } = this.options.requests
    const samples = await inParallel(jobs, concurrency, this.signal, async (job, signal) => {
      const result = await this.sampleOnce(job, sampling, stop, signal).catch((error): ServerSample => {
        if (!(error instanceof ServerError && error.ofRequest)) throw error
        failure ??= error
        return { text: '', stopped: false, cause: undefined, refusal: error.message }
      })
      onSample()
      return result
    })
    // What is so of every question is no matter of the questions.
    const questions = new Set(jobs.map(({ question }) => question))
    if (questions.size > 1 && samples.every(({ refusal }) => refusal !== undefined)) throw failure
    return samples
  }

  private async sampleOnce(
    { prompt, seed }: ServerJob,
    sampling: ServerSampling,
    stop: readonly string[],
    signal: AbortSignal,
  ): Promise<ServerSample> {
    const body = {
      model: this.options.model,
      ...{ max_tokens: sampling.maxNewTokens, temperature: sampling.temperature },
      // Servers take a seed of 31 bits.
      seed: Number(BigInt.asUintN(31, seed)),
      ...(sampling.topP < 1 ? { top_p: sampling.topP } : {}),
      ...(sampling.topK > 0 ? { top_k: sampling.topK } : {}),
      ...(sampling.minP > 0 ? { min_p: sampling.minP } : {}),
      ...(stop.length === 0 ? {} : { stop }),
    }
    if (typeof prompt === 'string')
      return read(await this.client.post('completions', { ...body, prompt }, signal))
    // A turn that is begun is to be gone on with; llama-server does so without being told.
    const isBegun = prompt.at(-1)?.role === 'assistant'
    const goOn = isBegun ? { continue_final_message: true, add_generation_prompt: false } : {}
    return read(await this.client.post('chat/completions', { ...body, ...goOn, messages: prompt }, signal))
  }
}

function read({ value, url }: Answer): ServerSample {
  const choice = (value as { choices?: Choice[] } | null)?.choices?.[0]
  if (choice === undefined)
    throw new ServerError(
      `${url}: the answer has no choices; expected that of an OpenAI-compatible server`,
      false,
    )
  return {
    text: choice.message?.content ?? choice.text ?? '',
    stopped: choice.finish_reason === 'stop',
    cause: 'stop_reason' in choice ? choice.stop_reason : choice.matched_stop,
  }
}

/** The turns of a conversation as messages; empty ones are left out. */
export function messagesOf(turns: { system: string; user: string; assistant: string }): Message[] {
  const { system, user, assistant } = turns
  return [
    ...(system === '' ? [] : [{ role: 'system', content: system } as const]),
    { role: 'user', content: user },
    ...(assistant === '' ? [] : [{ role: 'assistant', content: assistant } as const]),
  ]
}

/** As many at a time; the results are in the order of the items. An error ends what else is under way. */
export async function inParallel<T, R>(
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
