/** What a user sees of an error, and the exit code: 2 for what they typed or configured, 1 for everything else. */
import { ConfigurationError, RltError, UsageError } from '../errors.js'

export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError || error instanceof ConfigurationError ? 2 : 1
}

/** One readable block; the stack only where it is asked for. */
export function describeFailure(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return `error: ${String(error)}\n`
  const lines = [`error: ${error.message}`]
  const expected = error instanceof RltError || error.name === 'AbortError'
  if (verbose) {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
      lines.push(cause.stack ?? String(cause))
  } else if (!expected) {
    // Not one of the errors that this program raises itself: a fault in it, or a failing system call.
    lines.push('Run the command again with --verbose to see where this came from.')
  }
  return `${lines.join('\n')}\n`
}
