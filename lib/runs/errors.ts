import { RltError } from '../errors.js'

/** A run folder that cannot be used: taken, locked, damaged, or not writable. */
export class RunError extends RltError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_RUN', message, options)
  }
}
