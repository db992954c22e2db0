import { AbortedError } from '../../errors.js'

/** Whether an error is only that the work was asked to stop. */
export function wasAborted(error: unknown, signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && (error instanceof AbortedError || error === signal.reason)
}
