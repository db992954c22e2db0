import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs the real program as a user would, and waits for its end. */
export async function rlt(args: readonly string[], { input = '', cwd = '/' } = {}): Promise<Outcome> {
  const child = startRlt(args, cwd)
  child.stdin.on('error', () => {}) // the program may end before it has read everything
  child.stdin.end(input)
  const ended = new Promise<number | null>(resolve => child.on('close', resolve))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, stdout, stderr }
}

/** The program as a running process. */
export function startRlt(args: readonly string[], cwd = '/') {
  return spawn(process.execPath, [program, ...args], { cwd, stdio: ['pipe', 'pipe', 'pipe'] })
}
