import type { TrainConfig } from '../../config/index.js'
import type { Model, TokenGroup } from '../../engine/index.js'
import type { TrainingRun } from '../shared/run.js'

/** The policy that the teacher is kept near to, by beta times the KL divergence from it. */
export class Reference {
  constructor(
    /** Undefined where nothing ties the teacher. */
    private readonly model: Model | undefined,
    private readonly config: TrainConfig,
    private readonly run: TrainingRun,
  ) {}

  /** Its log-probabilities of the completions, at the temperature that they were sampled with. */
  async logProbs(groups: readonly TokenGroup[]): Promise<Float32Array[][] | undefined> {
    const { sampling, training } = this.config
    return this.model?.logProbs(groups, {
      temperature: sampling.temperature,
      adapter: false, // a frozen reference may be the teacher itself
      ...(training.tokenBudget > 0 ? { tokenBudget: training.tokenBudget } : {}),
      ...(this.run.signal ? { signal: this.run.signal } : {}),
    })
  }

  /**
   * Every so many steps, a blended reference moves to the teacher:
   * reference = blend * teacher + (1 - blend) * reference, as TRL's SyncRefModelCallback with alpha = blend.
   */
  async follow(teacher: Model, step: number): Promise<void> {
    const { kind, every, blend } = this.config.reference
    if (kind === 'blended' && step % every === 0) await this.model?.copyParametersFrom(teacher, blend)
  }

  /** A frozen reference is what the run was started from; a blended one exists nowhere else. */
  async save(folder: string): Promise<void> {
    if (this.config.reference.kind === 'blended') await this.model?.save(folder)
  }
}
