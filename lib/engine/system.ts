import { addon, type SystemInformation } from './addon.js'
import type { Dtype } from './types.js'

/** What the engine runs on. */
export function systemInformation(): SystemInformation {
  return addon().systemInformation()
}

/** bfloat16 where the device multiplies it in hardware: elsewhere on a CPU it is many times slower than float32. */
export function defaultDtype(device = 'cpu'): Dtype {
  return device !== 'cpu' || systemInformation().bfloat16Fast ? 'bfloat16' : 'float32'
}

/** The most memory that this process has held so far. */
export function peakMemoryBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}
