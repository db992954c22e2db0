/** What the benchmarks of rlt have in common with those of its peers beside lib/bench: their memory. */
import { readFile } from 'node:fs/promises'
import { peakMemoryBytes } from '../lib/index.js'

/**
 * The most memory that this process has held, in bytes: VmHWM, the figure that the peers report of themselves. Where
 * there is no /proc, what the system's accounting says.
 */
export async function peakMemory(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  return kilobytes === undefined ? peakMemoryBytes() : Number(kilobytes) * 1024
}
