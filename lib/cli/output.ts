/** Standard output, for results only; messages go to standard error. */
import { once } from 'node:events'

/** Waits where the reader is slower, so that a long output is never held in memory. */
export async function writeOut(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain')
}

export async function writeJsonLine(value: unknown): Promise<void> {
  await writeOut(`${JSON.stringify(value)}\n`)
}

/** `rlt … | head` closes the pipe when it has seen enough: that is no failure. */
export function endQuietlyWhenPipeCloses(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

export function log(text: string): void {
  process.stderr.write(`${text}\n`)
}
