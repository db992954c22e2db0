/** A server on the loopback that samples with our own engine, and answers in the shape of one kind of server. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { ExecutionContext } from 'ava'
import { Model, type SampleRequest } from '../../lib/engine/index.js'

interface Body {
  [field: string]: unknown
  model: string
  prompt?: string | number[]
  input_ids?: number[]
  seed: number
  temperature: number
  max_tokens: number
  n_predict: number
  stop?: string[]
  stop_token_ids?: number[]
  return_token_ids?: boolean
  sampling_params: {
    temperature: number
    sampling_seed: number
    max_new_tokens: number
    stop: string[]
    stop_token_ids: number[]
  }
  model_path: string
  lora_name: string
  lora_path: string
}

export interface EngineServer {
  address: string
  asked: { path: string; body: Body }[]
  /** Answers in place of the samples while it gives one. */
  fail?: ((count: number) => number | 'silence' | undefined) | undefined
}

interface Options {
  kind: 'vllm' | 'sglang' | 'llama-server' | 'openai'
  /** Of the model that adapters belong to. */
  base: string
  model: Model
  /** Which sample of which request a seed stands for; default is the first of its own. */
  ofSeed?: ((seed: number) => { request: SampleRequest; sample: number }) | undefined
}

/** Runs until the test ends. */
export async function engineServer(
  t: ExecutionContext,
  { kind, base, model, ofSeed }: Options,
): Promise<EngineServer> {
  const models = new Map<string, Model>([['the-teacher', model]])
  let current = model
  const asked: EngineServer['asked'] = []
  const load = async (folder: string, adapter?: string) => {
    const loaded = await Model.load(folder, {
      dtype: 'float32',
      device: 'cpu',
      ...(adapter ? { adapter } : {}),
    })
    t.teardown(() => loaded.dispose())
    return loaded
  }
  const draw = async (
    by: Model,
    body: Body,
    seed: number,
    maxNewTokens: number,
    stop: (string | number)[],
  ) => {
    const prefix: number[] =
      typeof body.prompt === 'string'
        ? [...by.tokenizer.encode(body.prompt)]
        : (body.prompt ?? body.input_ids!)
    const { request, sample } = ofSeed?.(seed) ?? { request: { prefix, seed }, sample: 0 }
    const { temperature } = body.sampling_params ?? body
    const [group] = await by.sample([{ ...request, samples: sample + 1 }], {
      ...{ maxNewTokens, temperature, stop: stop.length > 0 ? stop : by.configuration.endOfSequenceTokens },
    })
    const tokens = [...group!.suffixes[sample]!]
    const isStopped = group!.finish[sample] === 'stop'
    return {
      tokens,
      logProbs: [...group!.logProbs[sample]!],
      isStopped,
      text: by.tokenizer.decode(isStopped ? tokens.slice(0, -1) : tokens),
    }
  }
  const answers: Record<string, (body: Body) => Promise<unknown>> = {
    '/v1/completions': async body => {
      const by = models.get(body.model)
      if (by === undefined) return undefined
      const { tokens, logProbs, isStopped, text } = await draw(by, body, body.seed, body.max_tokens, [
        ...(body.stop ?? []),
        ...(body.stop_token_ids ?? []),
      ])
      const ids =
        kind === 'vllm' && body.return_token_ids
          ? { token_ids: tokens, logprobs: { token_logprobs: logProbs } }
          : {}
      return { choices: [{ index: 0, text, finish_reason: isStopped ? 'stop' : 'length', ...ids }] }
    },
    '/generate': async body => {
      const { sampling_seed, max_new_tokens, stop, stop_token_ids } = body.sampling_params
      const { tokens, logProbs, isStopped, text } = await draw(current, body, sampling_seed, max_new_tokens, [
        ...stop,
        ...stop_token_ids,
      ])
      return {
        text,
        output_ids: tokens,
        meta_info: {
          finish_reason: { type: isStopped ? 'stop' : 'length' },
          output_token_logprobs: tokens.map((id, i) => [logProbs[i], id, null]),
        },
      }
    },
    '/completion': async body => {
      const { tokens, logProbs, isStopped, text } = await draw(
        current,
        body,
        body.seed,
        body.n_predict,
        body.stop ?? [],
      )
      return {
        content: text,
        tokens,
        stop_type: isStopped ? 'eos' : 'limit',
        completion_probabilities: tokens.map((id, i) => ({ id, prob: Math.exp(logProbs[i]!) })),
      }
    },
    '/update_weights_from_disk': async body => {
      current = await load(body.model_path)
      return { success: true, message: 'Succeeded to update model weights.' }
    },
    '/v1/load_lora_adapter': async body => {
      models.set(body.lora_name, await load(base, body.lora_path))
      return 'Success'
    },
    '/v1/unload_lora_adapter': async body => (models.delete(body.lora_name) ? 'Success' : undefined),
  }
  const result: EngineServer = { address: '', asked }
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as Body
    asked.push({ path: request.url!, body })
    const failure = result.fail?.(asked.length)
    if (failure === 'silence') return
    try {
      const answer = failure === undefined ? await answers[request.url!]?.(body) : undefined
      response.writeHead(failure ?? (answer === undefined ? 404 : 200), {
        'content-type': 'application/json',
      })
      // vLLM tells in plain text that an adapter is loaded.
      response.end(
        typeof answer === 'string' ? answer : JSON.stringify(answer ?? { error: { message: 'no' } }),
      )
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  result.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  return result
}
