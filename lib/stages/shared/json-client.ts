/** JSON to a server and back, tried again where that may help. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { AbortedError, ServerError } from '../../errors.js'

export interface Answer {
  value: unknown
  url: string
}

interface ClientOptions {
  timeoutSeconds: number
  retries: number
  bearer: string | undefined
  /** Of the configuration, that the server is named in, for messages: teacher, models[0]. */
  option: string
  /** What the address is named by; default `option`.server. */
  addressOption?: string
}

/** What one try came to. `status` is 0 where there was no answer. */
interface Try {
  status: number
  body: string
  /** Seconds that the server asks to wait. */
  retryAfter?: number
  error?: Error
}

const firstWait = 0.5
const longestWait = 60

export class JsonClient {
  constructor(
    private readonly address: string,
    private readonly options: ClientOptions,
  ) {}

  /**
   * @param path beneath the server's address
   * @throws {ServerError} after the last try, or at once where another one would be for nothing
   * @throws {AbortedError}
   */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<Answer> {
    const { body: answer, url } = await this.postForText(path, body, signal)
    return { value: parse(answer, url), url }
  }

  /** As {@link post}, of what does not answer in JSON. */
  async postForText(
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ body: string; url: string }> {
    const url = `${this.address.replace(/\/+$/, '')}/${path}`
    const content = JSON.stringify(body)
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.tryOnce(url, content, signal)
      if (outcome.status >= 200 && outcome.status < 300) return { body: outcome.body, url }
      if (attempt >= this.options.retries || !mayHelpToTryAgain(outcome))
        throw explain(url, outcome, attempt + 1, this.options)
      // Doubled each time, and spread so that requests that failed together do not come back together.
      const seconds = Math.min(longestWait, firstWait * 2 ** attempt) * (0.5 + Math.random() / 2)
      await wait(Math.max(seconds, Math.min(longestWait, outcome.retryAfter ?? 0)), signal)
    }
  }

  /** Node's own `fetch` gives up after five minutes without a header, which a long explanation can take. */
  private async tryOnce(url: string, content: string, signal: AbortSignal): Promise<Try> {
    const { bearer, timeoutSeconds, option } = this.options
    const timeout = AbortSignal.timeout(timeoutSeconds * 1000)
    const either = AbortSignal.any([signal, timeout])
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(
          url,
          {
            method: 'POST',
            signal: either,
            headers: {
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(content),
              ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
            },
          },
          resolve,
        )
        request.on('error', reject)
        request.end(content)
      })
      const retryAfter = secondsOf(response.headers['retry-after'])
      const body = await text(response)
      return { status: response.statusCode ?? 0, body, ...(retryAfter === undefined ? {} : { retryAfter }) }
    } catch (error) {
      if (signal.aborted) throw new AbortedError(undefined, { cause: error })
      if (!timeout.aborted) return { status: 0, body: '', error: error as Error }
      return { status: 408, body: `no answer within ${timeoutSeconds} s (${option}.requests.timeoutSeconds)` }
    }
  }
}

async function wait(seconds: number, signal: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal }).catch(error => {
    throw new AbortedError(undefined, { cause: error })
  })
}

const mayHelpToTryAgain = ({ status }: Try) =>
  status === 0 || status === 408 || status === 429 || status >= 500

function explain(
  url: string,
  { status, body, error }: Try,
  tries: number,
  { option, addressOption = `${option}.server` }: ClientOptions,
): ServerError {
  const times = tries > 1 ? ` (${tries} tries)` : ''
  if (error !== undefined)
    return new ServerError(
      `${url} cannot be reached${times}: ${error.message || (error as NodeJS.ErrnoException).code}`,
      false,
      {
        cause: error,
      },
    )
  const said = messageOf(body)
  const advice =
    status === 401 || status === 403
      ? `\nName the environment variable with the key: ${option}.apiKeyVariable`
      : status === 404
        ? `\nIs ${option}.model what the server calls it, and does ${addressOption} end in /v1 as it is to?`
        : ''
  // Not to be had at all, or not now: that is so of all requests. Anything else can be the fault of this one.
  const ofRequest = [400, 408, 413, 422, 500].includes(status)
  return new ServerError(`${url} answered ${status}${times}: ${said}${advice}`, ofRequest)
}

function parse(body: string, url: string): unknown {
  try {
    return JSON.parse(body)
  } catch (error) {
    throw new ServerError(
      `${url}: the answer is not JSON: ${shorten(body)}\nIs this an OpenAI-compatible server?`,
      false,
      { cause: error },
    )
  }
}

/** `{"error": {"message": …}}`, as OpenAI's; vLLM also has `{"message": …}`; else the text. */
function messageOf(body: string): string {
  try {
    const { error, message } = JSON.parse(body)
    const said = error?.message ?? message ?? error
    if (typeof said === 'string') return shorten(said)
  } catch {
    // A gateway answers in HTML.
  }
  return shorten(body)
}

const shorten = (said: string) => (said.length > 500 ? `${said.slice(0, 499)}…` : said)

/** Seconds, or a date. */
function secondsOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined
}
