/**
 * Ctrl-C (and SIGTERM, with which schedulers announce the end of a job): the first asks the work to stop where it can
 * be gone on with, the second ends the process at once.
 */
const controller = new AbortController()

/** Aborted by the first Ctrl-C. */
export const interrupted: AbortSignal = controller.signal

export function listenForInterrupt(): void {
  const onSignal = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    process.stderr.write('\nStopping… (once more to end at once)\n')
    controller.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
}
