import { RltError } from '../errors.js'

/** A run folder that cannot be used: taken, locked, damaged, or not writable. */
export class RunError extends RltError {
  override name = 'RunError'
}
