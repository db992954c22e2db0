/**
 * Ctrl-C (and SIGTERM, with which schedulers announce the end of a job): the first asks the work to stop where it can
 * be gone on with, the second ends the process at once.
 */
const controller = new AbortController()

/** Aborted by the first Ctrl-C. */
export const interrupted: AbortSignal = controller.signal

let announce = (text: string): void => {
  process.stderr.write(`\n${text}\n`)
}

/** For who draws on the terminal, and would be disturbed by a line from elsewhere. */
export function announceInterruptWith(write: (text: string) => void): void {
  announce = write
}

export function listenForInterrupt(): void {
  const onSignal = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    announce('Stopping… (once more to end at once)')
    controller.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
}
