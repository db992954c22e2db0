import { permutation, purposes } from './random.js'

export interface OrderOptions {
  seed: number
  /** False takes the rows as they stand, epoch after epoch. */
  shuffle: boolean
}

/**
 * The endless order in which the rows of a data set are taken: all of them once, in an order of its own, then all
 * again in another. Which row comes at a place is a function of the place, so there is no state to save.
 */
export class DataOrder {
  private epoch = -1
  private order: Uint32Array = new Uint32Array(0)

  constructor(
    private readonly rows: number,
    private readonly options: OrderOptions,
  ) {}

  /** The indices of the rows at places `start` … `start + count - 1`; a stretch can reach over an epoch's end. */
  take(start: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.at(start + i))
  }

  private at(place: number): number {
    if (!this.options.shuffle) return place % this.rows
    const epoch = Math.floor(place / this.rows)
    if (epoch !== this.epoch) {
      this.order = permutation(this.rows, this.options.seed, purposes.order, epoch)
      this.epoch = epoch
    }
    return this.order[place % this.rows]!
  }
}
