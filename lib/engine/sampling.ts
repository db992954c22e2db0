import { freemem } from 'node:os'
import { AbortedError, EngineError } from '../errors.js'
import type { Tokenizer } from '../models/index.js'
import { cancellable, type NativeModel } from './addon.js'
import { concatenate } from './packing.js'
import type { CallOptions, SampledGroup, Tokens } from './types.js'

/** Why a sample ended: by a stop token or string, or at `maxNewTokens` or the end of the model's context. */
export type SamplingFinish = 'stop' | 'length'

export interface SampleRequest {
  /** At least one token. */
  prefix: Tokens
  /** How many samples of it to draw. Default 1. */
  samples?: number
  /** Sample j draws from (seed, j): the same tokens whatever else is in the batch. Default: from the options' seed. */
  seed?: number | bigint
}

/** A token as it is sampled. */
export interface SampledToken {
  request: number
  sample: number
  token: number
  logProb: number
}

/** A sample as it is finished. */
export interface FinishedSample {
  request: number
  sample: number
  tokens: Int32Array
  logProbs: Float32Array
  finish: SamplingFinish
}

export interface SampleOptions extends Omit<CallOptions, 'onProgress'> {
  maxNewTokens: number
  /** Softmax temperature; 0 takes the most probable token. Default 1. */
  temperature?: number
  /** Keeps the fewest tokens that hold this probability, in (0, 1]. Default 1: off. */
  topP?: number
  /** Keeps this many tokens. Default 0: off. */
  topK?: number
  /** Keeps tokens at least this fraction as probable as the most probable one, in [0, 1]. Default 0: off. */
  minP?: number
  /** Default 0. Request i without a seed of its own takes seed + i. */
  seed?: number | bigint
  /** Token ids and texts that end a sample. Default: the model's end-of-sequence tokens. */
  stop?: readonly (string | number)[]
  /**
   * Budget for keys and values. Default, and null: half of the free memory. Samples that do not fit wait for others to end, and
   * when those that run no longer fit, the newest gives way and is computed again later: the same tokens in more time.
   */
  cacheBytes?: number | null
  /**
   * Most prompt tokens fed between two tokens of the samples that are running: bounds how long a long prompt holds those
   * up, and the memory for its activations. Default 2048.
   */
  prefillTokens?: number
  onToken?: (token: SampledToken) => void
  onSample?: (sample: FinishedSample) => void
  /** Called once, when all samples are finished. */
  onStatistics?: (statistics: SamplingStatistics) => void
}

/** What a call of `sample` came to. */
export interface SamplingStatistics {
  /** Times that a sample gave its place in the cache to older ones. */
  preemptions: number
  /** Tokens that were computed again for that reason. */
  recomputedTokens: number
  /** The most samples that decoded together. */
  peakSequences: number
  /** The most memory that keys and values took. */
  peakCacheBytes: number
}

const STOP = 1
const NO_FINISH = 0

/** Draws all samples of all requests. The native side batches; stop strings are watched for here, where text is. */
export async function sampleWith(
  native: NativeModel,
  tokenizer: () => Tokenizer,
  endOfSequenceTokens: readonly number[],
  requests: readonly SampleRequest[],
  options: SampleOptions,
): Promise<SampledGroup[]> {
  const stop = options.stop ?? endOfSequenceTokens
  const stopTexts = stop.filter(entry => typeof entry === 'string')
  if (stopTexts.includes(''))
    throw new EngineError('ERR_ARGUMENT', 'An empty text among `stop` would end every sample at once.')
  const collector = new Collector(
    requests,
    options,
    stopTexts,
    stopTexts.length > 0 ? tokenizer() : undefined,
  )
  const firstSeed = BigInt(options.seed ?? 0)

  const statistics = await cancellable(options.signal, cancel => {
    collector.cancel = cancel
    return native.sample(
      concatenate(requests.map(request => request.prefix)),
      Int32Array.from(requests.flatMap(request => [request.prefix.length, request.samples ?? 1])),
      BigUint64Array.from(
        requests.map((request, i) => BigInt.asUintN(64, BigInt(request.seed ?? firstSeed + BigInt(i)))),
      ),
      {
        temperature: options.temperature ?? 1,
        topP: options.topP ?? 1,
        topK: options.topK ?? 0,
        minP: options.minP ?? 0,
        maxNewTokens: options.maxNewTokens,
        cacheBytes: Math.floor(options.cacheBytes ?? freemem() / 2),
        prefillTokens: options.prefillTokens ?? 2048,
        stopTokens: Int32Array.from(stop.filter(entry => typeof entry === 'number')),
      },
      collector.stopFlags,
      cancel,
      collector.onTokens,
    )
  }).catch((error: unknown) => {
    collector.throwFailure()
    throw error
  })
  // Aborting in the last step leaves nothing for the native side to interrupt.
  if (options.signal?.aborted) throw new AbortedError(undefined, { cause: options.signal.reason })
  collector.throwFailure()
  options.onStatistics?.(statistics)
  return collector.groups()
}

interface Sequence {
  request: number
  sample: number
  tokens: number[]
  logProbs: number[]
  finish: SamplingFinish | undefined
  watch: ((token: number) => boolean) | undefined
}

class Collector {
  readonly stopFlags: Int32Array
  /** Set to 1, it ends the call. */
  cancel: Int32Array = new Int32Array(1)
  private readonly sequences: Sequence[] = []
  private failure: unknown

  constructor(
    private readonly requests: readonly SampleRequest[],
    private readonly options: SampleOptions,
    stopTexts: readonly string[],
    tokenizer: Tokenizer | undefined,
  ) {
    requests.forEach((request, index) => {
      for (let sample = 0; sample < (request.samples ?? 1); sample++) {
        const watch = tokenizer ? watchForText(tokenizer, stopTexts) : undefined
        this.sequences.push({ request: index, sample, tokens: [], logProbs: [], finish: undefined, watch })
      }
    })
    this.stopFlags = new Int32Array(this.sequences.length)
  }

  /** The addon calls this from outside any promise: what a listener throws is kept and rejects the call. */
  readonly onTokens = (
    sequences: Int32Array,
    tokens: Int32Array,
    logProbs: Float32Array,
    finish: Int32Array,
  ): void => {
    try {
      for (let i = 0; i < sequences.length; i++) this.add(sequences[i]!, tokens[i]!, logProbs[i]!, finish[i]!)
    } catch (error) {
      this.failure ??= error
      Atomics.store(this.cancel, 0, 1)
    }
  }

  private add(index: number, token: number, logProb: number, finish: number): void {
    const sequence = this.sequences[index]!
    if (sequence.finish) return // sampled before the native side saw the stop flag
    sequence.tokens.push(token)
    sequence.logProbs.push(logProb)
    const { request, sample } = sequence
    this.options.onToken?.({ request, sample, token, logProb })
    if (finish !== NO_FINISH) {
      sequence.finish = finish === STOP ? 'stop' : 'length'
    }
    if (sequence.watch?.(token)) {
      sequence.finish = 'stop'
      Atomics.store(this.stopFlags, index, 1)
    }
    if (sequence.finish)
      this.options.onSample?.({ request, sample, ...toArrays(sequence), finish: sequence.finish })
  }

  throwFailure(): void {
    if (this.failure !== undefined) throw this.failure
  }

  groups(): SampledGroup[] {
    const groups: SampledGroup[] = this.requests.map(request => ({
      prefix: Int32Array.from(request.prefix),
      suffixes: [],
      logProbs: [],
      finish: [],
    }))
    for (const sequence of this.sequences) {
      const { tokens, logProbs } = toArrays(sequence)
      const group = groups[sequence.request]!
      group.suffixes.push(tokens)
      group.logProbs.push(logProbs)
      group.finish.push(sequence.finish ?? 'length') // maxNewTokens 0: no token was sampled
    }
    return groups
  }
}

function toArrays(sequence: Sequence): { tokens: Int32Array; logProbs: Float32Array } {
  return { tokens: Int32Array.from(sequence.tokens), logProbs: Float32Array.from(sequence.logProbs) }
}

/** Says of each token whether it completes one of the texts, wherever token boundaries fall. */
function watchForText(tokenizer: Tokenizer, texts: readonly string[]): (token: number) => boolean {
  const stream = tokenizer.decodeStream()
  const longest = Math.max(...texts.map(text => text.length))
  let tail = ''
  return token => {
    tail += stream.push(token)
    const found = texts.some(text => tail.includes(text))
    tail = tail.slice(Math.max(0, tail.length - longest))
    return found
  }
}
