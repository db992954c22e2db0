/** The thread that encodes texts: answers one request after another. See encoder.ts. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { Tokenizer } from 'tokenizers'

export type WorkerRequest =
  | { kind: 'load'; id: number; json: string }
  | { kind: 'encode'; id: number; text: string; addSpecialTokens: boolean }
  | { kind: 'forget'; id: number }

export type WorkerReply =
  | { kind: 'encoded'; tokens: Int32Array; offsets: Int32Array }
  | { kind: 'failed'; message: string }

const { port, answers } = workerData as { port: MessagePort; answers: Int32Array }
const tokenizers = new Map<number, Tokenizer>()

port.on('message', async (request: WorkerRequest) => {
  if (request.kind === 'forget') {
    tokenizers.delete(request.id)
    return
  }
  const reply = await answer(request).catch(error => ({
    kind: 'failed',
    message: String(error.message ?? error),
  }))
  port.postMessage(reply)
  Atomics.add(answers, 0, 1)
  Atomics.notify(answers, 0)
})
parentPort!.postMessage('ready')

async function answer(request: Exclude<WorkerRequest, { kind: 'forget' }>): Promise<WorkerReply> {
  if (request.kind === 'load') {
    tokenizers.set(request.id, Tokenizer.fromString(request.json))
    return { kind: 'encoded', tokens: new Int32Array(), offsets: new Int32Array() }
  }
  const tokenizer = tokenizers.get(request.id)!
  const encoding = await tokenizer.encode(request.text, null, { addSpecialTokens: request.addSpecialTokens })
  return {
    kind: 'encoded',
    tokens: Int32Array.from(encoding.getIds()),
    offsets: Int32Array.from(encoding.getOffsets().flat()),
  }
}
