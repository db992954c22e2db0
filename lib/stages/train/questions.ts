import type { TrainConfig } from '../../config/index.js'
import { DataOrder, hashCounters, purposes, type Row, teacherPrompt } from '../../data/index.js'
import type { Tokenizer } from '../../models/index.js'
import type { Request } from '../shared/sampling.js'

/** Which questions a step asks. A function of the step: nothing to save, nothing to get ahead of what was trained on. */
export class Questions {
  private readonly order: DataOrder
  /** Of the questions that take the places of others: always shuffled, or it would be the same ones again. */
  private readonly replacementOrder: DataOrder

  constructor(
    private readonly rows: readonly Row[],
    private readonly config: TrainConfig,
    private readonly tokenizer: Tokenizer,
  ) {
    const { data, training } = config
    this.order = new DataOrder(rows.length, { seed: training.seed, shuffle: data.shuffle })
    const seed = Number(hashCounters(training.seed, purposes.replacement) & 0xffffffffn)
    this.replacementOrder = new DataOrder(rows.length, { seed, shuffle: true })
  }

  /** @param step from 1 */
  ofStep(step: number): Request[] {
    const { training } = this.config
    const start = (step - 1) * training.promptsPerStep
    return this.requests(this.order.take(start, training.promptsPerStep), start, purposes.sample)
  }

  /**
   * The first `questions` questions that can take the places of others.
   * @param step from 1
   * @param round from 1 to algorithm.dynamicSamplingRounds
   */
  replacements(step: number, round: number, questions: number): Request[] {
    const { training, algorithm } = this.config
    const start = ((step - 1) * algorithm.dynamicSamplingRounds + round - 1) * training.promptsPerStep
    return this.requests(this.replacementOrder.take(start, questions), start, purposes.replacement)
  }

  private requests(indices: readonly number[], start: number, purpose: number): Request[] {
    const { training, sampling, format } = this.config
    return indices.map((index, i) => ({
      row: this.rows[index]!,
      prefix: teacherPrompt(this.rows[index]!, format, this.tokenizer),
      samples: sampling.completions,
      seed: hashCounters(training.seed, purpose, start + i),
    }))
  }
}

/** The held-out questions, with the same seeds at every measurement, so that these differ by the teacher alone. */
export function heldOutRequests(rows: readonly Row[], config: TrainConfig, tokenizer: Tokenizer): Request[] {
  return rows.map((row, i) => ({
    row,
    prefix: teacherPrompt(row, config.format, tokenizer),
    samples: config.training.heldOutCompletions,
    seed: hashCounters(config.training.seed, purposes.heldOut, i),
  }))
}
