import type { z } from 'zod'
import type { Problem } from '../problem.js'

/** The configuration of one stage. */
export interface ConfigKind<T> {
  /** The stage's name, and that of the folder of its presets. */
  name: string
  /** Declares every option once, with its default, its range and a sentence that says what it is for. */
  schema: z.ZodType<T>
  /** What is wrong with a configuration each option of which is in range by itself. */
  checkCombinations(config: T): Problem[]
  /**
   * Stand-ins for options without a default, so that combinations of the others can be checked while these are
   * missing.
   */
  placeholders: Readonly<Record<string, unknown>>
}

/** Of a stage that trains in a run folder. */
export interface RunKind<T> extends ConfigKind<T> {
  /** Options that can change when a run is gone on with: none of them enters what a finished step computed. */
  changeable: readonly string[]
}
