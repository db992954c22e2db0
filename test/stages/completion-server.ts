/** A server on the loopback that answers as an OpenAI-compatible one does, in the way that a test wants. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { ExecutionContext } from 'ava'

export interface Asked {
  path: string
  headers: IncomingHttpHeaders
  body: Record<string, unknown> & {
    seed: number
    prompt?: string
    messages?: { role: string; content: string }[]
  }
  /** The text of the question, wherever it stands. */
  text: string
}

/** A choice, an error, or no answer at all. */
export type Reply =
  | { content: string; finish?: string; extra?: Record<string, unknown> }
  | { status: number; message?: string; headers?: Record<string, string> }
  | 'silence'

export interface CompletionServer {
  /** What a configuration names. */
  address: string
  asked: Asked[]
  /** The most requests that were open at one time. */
  mostAtOnce(): number
}

/** Runs until the test ends. */
export async function completionServer(
  t: ExecutionContext,
  reply: (asked: Asked, count: number) => Reply | Promise<Reply>,
): Promise<CompletionServer> {
  const asked: Asked[] = []
  let [open, most] = [0, 0]
  const server = createServer(async (request, response) => {
    open++
    most = Math.max(most, open)
    response.on('close', () => open--)
    const body = (await json(request)) as Asked['body']
    const text = body.prompt ?? body.messages!.map(({ content }) => content).join('\n')
    const one = { path: request.url!, headers: request.headers, body, text }
    asked.push(one)
    const answer = await reply(one, asked.length)
    if (answer === 'silence') return
    const send = (status: number, value: unknown, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(value))
    }
    if ('status' in answer)
      return send(answer.status, { error: { message: answer.message ?? 'no' } }, answer.headers)
    const { content, finish = 'stop', extra } = answer
    const said = body.prompt === undefined ? { message: { role: 'assistant', content } } : { text: content }
    send(200, { choices: [{ index: 0, finish_reason: finish, ...said, ...extra }] })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { address: `http://127.0.0.1:${port}/v1`, asked, mostAtOnce: () => most }
}
