/** The thread that encodes texts, one request after another. See encoder.ts. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { Tokenizer } from 'tokenizers'

export interface EncodeOptions {
  addSpecialTokens: boolean
  withOffsets: boolean
}

export interface Encoded {
  tokens: Int32Array
  /** [start, end] of each token in code points; empty where they were not asked for. */
  offsets: Int32Array
}

export type WorkerRequest =
  | { kind: 'load'; id: number; json: string; port: MessagePort }
  | ({ kind: 'encode'; id: number; number: number; text: string } & EncodeOptions)
  | { kind: 'forget'; id: number }

export type EncodeReply = { number: number } & (Encoded | { failure: string })

const { port, answered } = workerData as { port: MessagePort; answered: Int32Array }
const tokenizers = new Map<number, Tokenizer>()

parentPort!.on('message', (request: WorkerRequest) => {
  if (request.kind === 'load') request.port.postMessage(load(request.id, request.json))
  else tokenizers.delete(request.id)
})

port.on('message', async (request: WorkerRequest & { kind: 'encode' }) => {
  port.postMessage({ number: request.number, ...(await encode(request)) } satisfies EncodeReply)
  Atomics.add(answered, 0, 1)
  Atomics.notify(answered, 0)
})

parentPort!.postMessage(undefined)

/** @returns what went wrong, or undefined */
function load(id: number, json: string): string | undefined {
  try {
    tokenizers.set(id, Tokenizer.fromString(json))
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

async function encode(request: WorkerRequest & { kind: 'encode' }): Promise<Encoded | { failure: string }> {
  const { id, text, addSpecialTokens, withOffsets } = request
  try {
    const encoding = await tokenizers.get(id)!.encode(text, null, { addSpecialTokens })
    return {
      tokens: Int32Array.from(encoding.getIds()),
      offsets: withOffsets ? Int32Array.from(encoding.getOffsets().flat()) : new Int32Array(),
    }
  } catch (error) {
    return { failure: (error as Error).message }
  }
}
