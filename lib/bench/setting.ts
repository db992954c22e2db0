import type { Dtype } from '../engine/index.js'

/** What holds for all rows of one number of threads. */
export interface BenchSetting {
  dtype: Dtype
  /** As chooseDevice() gives it. */
  device: string
  threads: number
  /** Tiny sizes and few repetitions, to see that everything works: the figures mean nothing. */
  quick: boolean
  signal?: AbortSignal | undefined
}
