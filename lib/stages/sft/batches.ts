/** Which rows each step trains on: a function of the step, so there is nothing to save. */
import type { SftConfig } from '../../config/index.js'
import { DataOrder, type Example } from '../../data/index.js'
import { lengthOf } from './examples.js'

export interface Batch {
  examples: Example[]
  /** Passes over the rows that are done with after the step; a fraction within one. */
  epoch: number
}

/** Prompts and completions. */
export const tokensOf = (examples: readonly Example[]): number =>
  examples.reduce((sum, example) => sum + lengthOf(example), 0)

/** Tokens that the loss is on. */
export const lossTokensOf = (examples: readonly Example[]): number =>
  examples.reduce((sum, { completion }) => sum + completion.length, 0)

/**
 * Rows come in an endless order of epochs; step s has those at places starts[s - 1] … starts[s] - 1. A step can reach over
 * an epoch's end. Where the run is as long as `epochs` says, its last step has what is left.
 */
export class Batches {
  private readonly order: DataOrder
  private readonly starts: number[]

  constructor(
    private readonly examples: readonly Example[],
    { data, training }: Pick<SftConfig, 'data' | 'training'>,
  ) {
    this.order = new DataOrder(examples.length, { seed: training.seed, shuffle: data.shuffle })
    this.starts = this.startsOf(training)
  }

  get steps(): number {
    return this.starts.length - 1
  }

  /** @param step from 1 to {@link steps} */
  ofStep(step: number): Batch {
    const start = this.starts[step - 1]!
    const end = this.starts[step]!
    const examples = this.order.take(start, end - start).map(index => this.examples[index]!)
    return { examples, epoch: end / this.examples.length }
  }

  private startsOf({ epochs, steps, rowsPerStep, tokensPerStep }: SftConfig['training']): number[] {
    const rows =
      steps === null ? Math.max(1, Math.round(epochs * this.examples.length)) : Number.POSITIVE_INFINITY
    const starts = [0]
    while (starts.at(-1)! < rows && starts.length - 1 < (steps ?? Number.POSITIVE_INFINITY)) {
      const start = starts.at(-1)!
      const size = tokensPerStep === null ? rowsPerStep : this.rowsWithin(tokensPerStep, start)
      starts.push(Math.min(start + size, rows))
    }
    return starts
  }

  private rowsWithin(tokens: number, start: number): number {
    let rows = 0
    let sum = 0
    for (;;) {
      const [index] = this.order.take(start + rows, 1)
      sum += lengthOf(this.examples[index!]!)
      if (sum > tokens) return Math.max(1, rows)
      rows++
    }
  }
}
