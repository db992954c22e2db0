/**
 * Text to tokens with Hugging Face's own tokenizers library, the only file (with its worker) that knows it.
 * The library encodes asynchronously only. One worker thread holds every tokenizer, and the caller waits for it:
 * encoding a text takes less time than it would take to schedule around it.
 */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { Tokenizer as NativeTokenizer } from 'tokenizers'
import { ModelError } from '../errors.js'
import type { WorkerReply, WorkerRequest } from './encoder-worker.js'
import type { Fields } from './fields.js'

/** `offsets` are [start, end] pairs of code points. */
export interface Encoded {
  tokens: Int32Array
  offsets: Int32Array
}

/** Far longer than any text takes; only a broken worker does not answer. */
const longestWait = 120_000

export class Encoder {
  private static worker: EncoderWorker | undefined
  private static count = 0
  private static readonly release = new FinalizationRegistry<number>(id => Encoder.worker?.forget(id))

  private constructor(
    private readonly worker: EncoderWorker,
    private readonly id: number,
  ) {}

  /** @param json the content of a tokenizer.json */
  static async load(json: string): Promise<Encoder> {
    Encoder.worker ??= new EncoderWorker()
    await Encoder.worker.ready
    const id = ++Encoder.count
    Encoder.worker.ask({ kind: 'load', id, json })
    const encoder = new Encoder(Encoder.worker, id)
    Encoder.release.register(encoder, id)
    return encoder
  }

  encode(text: string, addSpecialTokens: boolean): Encoded {
    return this.worker.ask({ kind: 'encode', id: this.id, text, addSpecialTokens })
  }
}

class EncoderWorker {
  readonly ready: Promise<void>
  private readonly port
  /** Counts the answers, so that the caller can sleep until there is another. */
  private readonly answers = new Int32Array(new SharedArrayBuffer(4))
  private readonly worker: Worker

  constructor() {
    const { port1, port2 } = new MessageChannel()
    this.port = port1
    this.worker = new Worker(new URL('./encoder-worker.js', import.meta.url), {
      workerData: { port: port2, answers: this.answers },
      transferList: [port2],
    })
    this.ready = new Promise((resolve, reject) => {
      this.worker.once('message', () => {
        this.worker.unref()
        resolve()
      })
      this.worker.once('error', reject)
    })
    port1.unref()
  }

  ask(request: WorkerRequest): Encoded {
    const before = Atomics.load(this.answers, 0)
    this.port.postMessage(request)
    if (Atomics.wait(this.answers, 0, before, longestWait) === 'timed-out')
      throw new ModelError(`The tokenizer gave no answer within ${longestWait / 1000} seconds`)
    const reply: WorkerReply = receiveMessageOnPort(this.port)!.message
    if (reply.kind === 'failed') throw new ModelError(`The tokenizer refused: ${reply.message}`)
    return reply
  }

  forget(id: number): void {
    this.port.postMessage({ kind: 'forget', id } satisfies WorkerRequest)
  }
}

/** Tokens' texts to plain text, by the decoder that `json` describes. */
export function createDecoder(json: Fields): (tokens: string[]) => string {
  if (!json.decoder) return tokens => tokens.join(' ')
  // Only the decoder is wanted, and it needs no vocabulary: without one the library loads at once.
  const empty = {
    ...json,
    model: { type: 'BPE', vocab: {}, merges: [] },
    added_tokens: [],
    post_processor: null,
  }
  const decoder = NativeTokenizer.fromString(JSON.stringify(empty)).getDecoder()!
  return tokens => decoder.decode(tokens)
}
