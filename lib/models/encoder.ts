/**
 * Text to tokens with Hugging Face's own tokenizers library, the only file (with its worker) that knows it.
 * The library encodes asynchronously only. One worker thread holds every tokenizer, and the caller waits for it:
 * encoding a text takes less time than it would take to schedule around it.
 */
import { once } from 'node:events'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { Tokenizer as NativeTokenizer } from 'tokenizers'
import { ModelError } from '../errors.js'
import type { Encoded, EncodeOptions, EncodeReply, WorkerRequest } from './encoder-worker.js'
import type { Fields } from './fields.js'

/** Far longer than any text takes; only a broken worker does not answer. */
const longestWait = 120_000

export class Encoder {
  private static worker: Promise<EncoderWorker> | undefined
  private static count = 0
  private static readonly release = new FinalizationRegistry<{ worker: EncoderWorker; id: number }>(
    ({ worker, id }) => worker.forget(id),
  )

  private constructor(
    private readonly worker: EncoderWorker,
    private readonly id: number,
  ) {}

  /** @param json the content of a tokenizer.json */
  static async load(json: string): Promise<Encoder> {
    Encoder.worker ??= EncoderWorker.start()
    const worker = await Encoder.worker.catch(error => {
      Encoder.worker = undefined
      throw new ModelError(`The tokenizer cannot be started: ${error.message}`, { cause: error })
    })
    const id = ++Encoder.count
    await worker.load(id, json)
    const encoder = new Encoder(worker, id)
    Encoder.release.register(encoder, { worker, id })
    return encoder
  }

  encode(text: string, options: EncodeOptions): Encoded {
    return this.worker.encode(this.id, text, options)
  }
}

/** The thread, and how it is asked: messages one way, and for the way back a counter that the caller sleeps on. */
class EncoderWorker {
  private sent = 0

  private constructor(
    private readonly worker: Worker,
    private readonly port: MessagePort,
    private readonly answered: Int32Array,
  ) {}

  static async start(): Promise<EncoderWorker> {
    const { port1, port2 } = new MessageChannel()
    const answered = new Int32Array(new SharedArrayBuffer(4))
    const worker = new Worker(new URL('./encoder-worker.js', import.meta.url), {
      workerData: { port: port2, answered },
      // Not the process's own flags: `node --input-type … -e` would not start a thread from a file.
      execArgv: [],
      transferList: [port2],
    })
    await once(worker, 'message')
    // From here on the thread lives as long as the process, and does not keep it alive.
    worker.unref()
    return new EncoderWorker(worker, port1, answered)
  }

  /** Beside the event loop: a large vocabulary takes half a second. */
  async load(id: number, json: string): Promise<void> {
    const { port1, port2 } = new MessageChannel()
    this.worker.postMessage({ kind: 'load', id, json, port: port2 } satisfies WorkerRequest, [port2])
    const failure = await new Promise<string | undefined>((resolve, reject) => {
      port1.once('message', resolve)
      port1.once('close', () => reject(new ModelError('The tokenizer thread has ended')))
    }).finally(() => port1.close())
    if (failure !== undefined) throw new ModelError(`The tokenizer cannot be loaded: ${failure}`)
  }

  encode(id: number, text: string, options: EncodeOptions): Encoded {
    const number = ++this.sent
    this.port.postMessage({ kind: 'encode', id, number, text, ...options } satisfies WorkerRequest)
    for (;;) {
      const before = Atomics.load(this.answered, 0)
      // An answer to an earlier request, which was given up, may still come in.
      for (let reply = this.next(); reply; reply = this.next()) {
        if (reply.number !== number) continue
        if ('failure' in reply) throw new ModelError(`The tokenizer cannot encode a text: ${reply.failure}`)
        return reply
      }
      if (Atomics.wait(this.answered, 0, before, longestWait) === 'timed-out')
        throw new ModelError(`The tokenizer gave no answer within ${longestWait / 1000} seconds`)
    }
  }

  forget(id: number): void {
    this.worker.postMessage({ kind: 'forget', id } satisfies WorkerRequest)
  }

  private next(): EncodeReply | undefined {
    return receiveMessageOnPort(this.port)?.message
  }
}

/** Tokens' texts to plain text, by the decoder that `json` describes. */
export function createDecoder(json: Fields): (tokens: string[]) => string {
  if (!json.decoder) return tokens => tokens.join(' ')
  // Only the decoder is wanted, and it needs no vocabulary: without one the library loads at once.
  const empty = { version: '1.0', model: { type: 'BPE', vocab: {}, merges: [] }, decoder: json.decoder }
  const decoder = NativeTokenizer.fromString(JSON.stringify(empty)).getDecoder()!
  return tokens => decoder.decode(tokens)
}
