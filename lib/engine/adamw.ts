import { ModelError } from '../errors.js'
import { readSafetensorsFile, stateTypes } from '../models/index.js'
import { addon, callAddon, callAddonNow, type NativeAdamW } from './addon.js'
import type { Model } from './model.js'
import { writeSafetensorsFile } from './save.js'

export interface AdamWOptions {
  /** Default [0.9, 0.999]. */
  betas?: readonly [number, number]
  /** Default 1e-8. */
  epsilon?: number
  /** Decoupled weight decay of the matrices; norm weights and biases are not decayed. Default 0. */
  weightDecay?: number
  /**
   * How the moments are kept: 8 and 2 bytes a weight. `8bit` is dynamic quantisation in blocks of 256 (Dettmers et al.
   * 2021, arXiv 2110.02861), of the second moment's square root; on the CPU only. Default float32.
   */
  moments?: 'float32' | '8bit'
}

export interface StepOptions {
  learningRate: number
  /** Largest norm of all gradients together; larger ones are scaled down to it. Absent or 0: no clipping. */
  maxGradNorm?: number
}

export interface StepResult {
  /** Norm of all gradients together, before clipping. */
  gradNorm: number
  clipped: boolean
  /** A gradient was not finite: the weights were left alone. */
  skipped: boolean
}

/**
 * AdamW (Loshchilov & Hutter 2019), the update of torch.optim.AdamW, with fp32 master weights: of a bfloat16 model the
 * weights are their upper halves, and the optimizer keeps the lower ones, 2 bytes a weight.
 */
export class AdamW {
  private readonly native: NativeAdamW
  private readonly ready: Promise<void>
  private steps = 0

  /** @throws EngineError ERR_ARGUMENT when the model was not loaded as trainable */
  constructor(
    model: Model,
    { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0, moments = 'float32' }: AdamWOptions = {},
  ) {
    const { NativeAdamW } = addon()
    const options = { beta1: betas[0], beta2: betas[1], epsilon, weightDecay, moments }
    this.native = callAddonNow(() => new NativeAdamW(model.native, options))
    this.ready = callAddon(() => this.native.initialise())
    this.ready.catch(() => {}) // reported by the first call that needs it
  }

  /** Steps taken so far; a skipped one does not count. */
  get stepCount(): number {
    return this.steps
  }

  /** Clips, updates every weight and zeroes the gradients. */
  async step({ learningRate, maxGradNorm = 0 }: StepOptions): Promise<StepResult> {
    await this.ready
    const { steps, ...result } = await callAddon(() => this.native.step(learningRate, maxGradNorm))
    this.steps = steps
    return result
  }

  /**
   * Writes moments, lower halves of master weights and the step count to one safetensors file. The model's own weights
   * are saved beside it, by {@link Model.save}.
   */
  async save(file: string): Promise<void> {
    await this.ready
    const tensors = callAddonNow(() => this.native.tensors())
    await writeSafetensorsFile(this.native, file, tensors, { steps: String(this.steps) })
  }

  /**
   * Takes up the state that {@link save} wrote, for a model of the same shape and type that has the weights of then.
   * @throws ModelError when the file is damaged or holds another model's state
   */
  async load(file: string): Promise<void> {
    await this.ready
    const { entries, metadata } = await readSafetensorsFile(file, stateTypes)
    const given = new Set(entries.map(entry => entry.name))
    const missing = callAddonNow(() => this.native.tensors()).find(tensor => !given.has(tensor.name))
    const steps = Number(metadata['steps'])
    if (missing || !Number.isInteger(steps)) {
      throw new ModelError(
        `${file} is not the state of this optimizer: it lacks ${missing?.name ?? 'the number of steps'}.`,
      )
    }
    await callAddon(() => this.native.readTensors(entries, steps))
    this.steps = steps
  }

  dispose(): void {
    this.native.dispose()
  }
}
