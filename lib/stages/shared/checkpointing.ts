/** Which activations each backward pass of a run keeps: as configured, or the fastest way that its memory allows. */
import type { TrainConfig } from '../../config/index.js'
import { type Checkpointing, type Model, trainingActivationBytes } from '../../engine/index.js'
import { formatBytes } from '../../report/text.js'
import { fastestThatFits, heldParts, type PlannedModel, sumOf } from '../plan/memory.js'
import { adapterParametersOf } from '../plan/shapes.js'
import type { TrainingRun } from './run.js'

type Options = Pick<TrainConfig['training'], 'checkpointing' | 'memoryBudget'>

/**
 * To be called before anything is loaded: what `training.memoryBudget` is, or else what this machine, or the control
 * group that the process is in, has left for it, and what it holds already.
 */
export function memoryBudgetOf({ memoryBudget }: Options): number {
  return memoryBudget ?? process.availableMemory() + process.memoryUsage.rss()
}

export class CheckpointingChoice {
  /** Bytes of weights, gradients and optimizer, by the formulas of `rlt plan`. */
  private readonly held: number
  private passes = new Map<Checkpointing, number>()
  private readonly told = new Set<Checkpointing>()

  /**
   * @param frozen further models in memory, each with weights of its own
   * @param budget of {@link memoryBudgetOf}
   */
  constructor(
    private readonly model: Model,
    frozen: readonly Model[],
    moments: TrainConfig['optimizer']['moments'],
    private readonly options: Options,
    private readonly budget: number,
    private readonly run: TrainingRun,
  ) {
    this.held = sumOf(
      heldParts({
        teacher: planned(model),
        frozen: frozen.map(planned),
        adapterParameters: model.lora ? adapterParametersOf(model.configuration, model.lora) : 0,
        devices: 1,
        device: model.device === 'cpu' ? 'cpu' : 'cuda',
        moments,
      }),
    )
  }

  /** Of a pass over so many tokens. */
  readonly policy = (tokens: number): Checkpointing => {
    const policy = this.choose(tokens)
    this.passes.set(policy, (this.passes.get(policy) ?? 0) + 1)
    return policy
  }

  /** How many passes took which policy since this was last asked: `passes/POLICY`. */
  takePasses(): Record<string, number> {
    const passes = Object.fromEntries([...this.passes].map(([policy, count]) => [`passes/${policy}`, count]))
    this.passes = new Map()
    return passes
  }

  private choose(tokens: number): Checkpointing {
    const { checkpointing, memoryBudget } = this.options
    if (checkpointing !== 'auto') return checkpointing
    // What a GPU has left is not known here, and its memory is the scarcer.
    if (this.model.device !== 'cpu' && memoryBudget === null) return 'every-layer'
    const { shape, bytesPerValue } = planned(this.model)
    const peakOf = (policy: Checkpointing) =>
      this.held + trainingActivationBytes(shape, bytesPerValue, policy, tokens)
    const policy = fastestThatFits(peakOf, this.budget)
    this.tell(policy, tokens, peakOf(policy))
    return policy
  }

  private tell(policy: Checkpointing, tokens: number, peak: number): void {
    if (this.told.has(policy)) return
    this.told.add(policy)
    const foreseen = `${tokens} tokens at once need ${formatBytes(peak)} of ${formatBytes(this.budget)}`
    this.run.inform(`activation checkpointing: ${policy} (${foreseen})`)
    if (peak > this.budget)
      this.run.warn(
        `${foreseen}, which is more than there is: take a lower training.tokenBudget (\`rlt plan\` says what helps)`,
      )
  }
}

function planned({ configuration, dtype }: Model): PlannedModel {
  return { shape: configuration, bytesPerValue: dtype === 'bfloat16' ? 2 : 4 }
}
