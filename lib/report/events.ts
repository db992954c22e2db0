/** What a run tells those who watch it, besides its metrics. */

/** What a step is busy with, in the order in which it comes. */
export type Phase = 'load' | 'sample' | 'score' | 'train' | 'evaluate' | 'save'

export type TrainEvent =
  /** Where it takes the data to know: how many steps the whole run has. */
  | { type: 'begin'; steps: number }
  | { type: 'message'; text: string; level: 'info' | 'warning' }
  /** Work on `step` has come so far: `done` of `total`, in units of its own (completions, groups, tokens). */
  | { type: 'phase'; phase: Phase; step: number; done: number; total: number }
  | { type: 'checkpoint'; step: number; folder: string }
