/**
 * What is sent to a server that samples, and what comes back, by kind of server. Each is asked with token ids, and for
 * the log-probability of each token that it drew. What a server would else take from the model's generation_config.json
 * is said in every request, so that it draws from the distribution that is trained.
 */
import type { SamplingConfig, SamplingServerConfig } from '../../config/index.js'
import { ServerError } from '../../errors.js'

export interface Job {
  prompt: Int32Array
  /** The same as a text. */
  promptText: string
  /** 31 bits. */
  seed: number
}

/** One completion as a server tells it. */
export interface Sampled {
  /** Undefined where the server gives a text only. */
  tokens?: readonly number[] | undefined
  /** In nats, as many as tokens or fewer; `undefined` or `null` where the server does not tell. */
  logProbs?: readonly (number | null | undefined)[] | undefined
  text: string
  stopped: boolean
  /** The text or token that ended it, where the server tells; null is the end of the turn. */
  cause?: string | number | null | undefined
}

export interface Protocol {
  /** From the address that is configured, without /v1. */
  path: string
  body(job: Job, model: string, sampling: SamplingConfig, stop: readonly (string | number)[]): object
  read(answer: unknown, url: string): Sampled
}

const split = (stop: readonly (string | number)[]) => ({
  texts: stop.filter(one => typeof one === 'string'),
  tokens: stop.filter(one => typeof one === 'number'),
})

const common = ({ temperature, topP, minP }: SamplingConfig) => ({ temperature, top_p: topP, min_p: minP })

interface Choice {
  text?: string | null
  token_ids?: number[] | null
  logprobs?: { token_logprobs?: (number | null)[] } | null
  finish_reason?: string | null
  stop_reason?: string | number | null
}

function choiceOf(answer: unknown, url: string): Choice & { prompt_token_ids?: number[] | null } {
  const choice = (answer as { choices?: Choice[] } | null)?.choices?.[0]
  if (choice === undefined) throw notUnderstood(url, 'choices')
  return choice
}

function notUnderstood(url: string, field: string): ServerError {
  return new ServerError(
    `${url}: the answer has no ${field}; is sampling.server.kind what this server is?`,
    false,
  )
}

/** vLLM's /v1/completions. Its log-probabilities are those of the draw with `--logprobs-mode processed_logprobs`. */
const vllm: Protocol = {
  path: 'v1/completions',
  body: ({ prompt, seed }, model, sampling, stop) => ({
    ...{ model, prompt: [...prompt], seed, max_tokens: sampling.maxNewTokens, ...common(sampling) },
    ...{ top_k: sampling.topK, repetition_penalty: 1, logprobs: 1, return_token_ids: true },
    ...{ stop: split(stop).texts, stop_token_ids: split(stop).tokens },
    // A stop text that is a special token would not be seen in a text without those.
    ...{ skip_special_tokens: false, spaces_between_special_tokens: false },
  }),
  read(answer, url) {
    const choice = choiceOf(answer, url)
    return {
      tokens: choice.token_ids ?? undefined,
      logProbs: choice.logprobs?.token_logprobs,
      text: choice.text ?? '',
      stopped: choice.finish_reason === 'stop',
      cause: choice.stop_reason,
    }
  },
}

interface SglangAnswer {
  text?: string
  output_ids?: number[]
  meta_info?: {
    finish_reason?: { type?: string; matched?: string | number | null } | null
    /** Log-probability, token id, text or null. */
    output_token_logprobs?: [number | null, number, string | null][]
  }
}

/** SGLang's own /generate. Seeds count where it was started with `--enable-deterministic-inference`. */
const sglang: Protocol = {
  path: 'generate',
  body: ({ prompt, seed }, _, sampling, stop) => ({
    input_ids: [...prompt],
    return_logprob: true,
    sampling_params: {
      ...{ max_new_tokens: sampling.maxNewTokens, sampling_seed: seed, ...common(sampling) },
      ...{ top_k: sampling.topK > 0 ? sampling.topK : -1, repetition_penalty: 1, skip_special_tokens: false },
      ...{ stop: split(stop).texts, stop_token_ids: split(stop).tokens },
    },
  }),
  read(answer, url) {
    const { text = '', output_ids, meta_info } = (answer ?? {}) as SglangAnswer
    if (meta_info === undefined) throw notUnderstood(url, 'meta_info')
    const drawn = meta_info.output_token_logprobs
    return {
      ...{ text, tokens: drawn?.map(([, id]) => id) ?? output_ids, logProbs: drawn?.map(([value]) => value) },
      stopped: meta_info.finish_reason?.type === 'stop',
      cause: meta_info.finish_reason?.matched,
    }
  },
}

interface LlamaAnswer {
  content?: string
  tokens?: number[]
  stop_type?: string
  stopping_word?: string
  completion_probabilities?: { id: number; prob?: number; logprob?: number }[]
}

/** llama-server's own /completion. The probabilities of a stop text's tokens are left out by it. */
const llamaServer: Protocol = {
  path: 'completion',
  body: ({ prompt, seed }, _, sampling, stop) => ({
    ...{ prompt: [...prompt], seed, n_predict: sampling.maxNewTokens, ...common(sampling) },
    ...{ top_k: sampling.topK, typical_p: 1, repeat_penalty: 1, stop: split(stop).texts },
    // Without post_sampling_probs the probabilities are those at temperature 1, which nothing was drawn from.
    ...{ n_probs: 1, post_sampling_probs: true, return_tokens: true },
  }),
  read(answer, url) {
    const { content, tokens, stop_type, stopping_word, completion_probabilities } = (answer ??
      {}) as LlamaAnswer
    if (content === undefined) throw notUnderstood(url, 'content')
    return {
      ...{ text: content, tokens: tokens?.length ? tokens : undefined },
      logProbs: completion_probabilities?.map(({ id, prob }, i) =>
        prob !== undefined && prob > 0 && id === tokens?.[i] ? Math.log(prob) : undefined,
      ),
      stopped: stop_type === 'eos' || stop_type === 'word',
      cause: stop_type === 'word' ? stopping_word : null,
    }
  },
}

/** Any OpenAI-compatible one: texts only. */
const openai: Protocol = {
  path: 'v1/completions',
  body: ({ promptText, seed }, model, { maxNewTokens, temperature, topP }, stop) => {
    const { texts } = split(stop)
    return {
      ...{ model, prompt: promptText, seed, max_tokens: maxNewTokens, temperature, top_p: topP },
      ...(texts.length > 0 ? { stop: texts } : {}),
    }
  },
  read(answer, url) {
    const choice = choiceOf(answer, url)
    return {
      text: choice.text ?? '',
      stopped: choice.finish_reason === 'stop',
      ...('stop_reason' in choice ? { cause: choice.stop_reason } : {}),
    }
  },
}

export const protocols: Record<SamplingServerConfig['kind'], Protocol> = {
  ...{ vllm, sglang, openai },
  'llama-server': llamaServer,
}
