import { writeFile } from 'node:fs/promises'
import { EngineError } from '../errors.js'
import { addon, callAddonNow, type SystemInformation } from './addon.js'
import type { Dtype } from './types.js'

/** What the engine runs on. */
export function systemInformation(): SystemInformation {
  return addon().systemInformation()
}

/** Threads of the CPU for all work submitted from now on, for the whole process. */
export function setThreads(threads: number): void {
  callAddonNow(() => addon().setThreads(threads))
}

/** `cpu`, or `cuda:0`: `auto` takes a GPU when there is one. */
export function chooseDevice(wanted: 'auto' | 'cpu' | 'cuda'): string {
  const gpus = systemInformation().cudaDevices
  if (wanted === 'cuda' && gpus === 0) {
    throw new EngineError(
      'ERR_ARGUMENT',
      'Device cuda was asked for, but this build of LibTorch finds no GPU. `rlt doctor` says why.',
    )
  }
  return wanted === 'cpu' || gpus === 0 ? 'cpu' : 'cuda:0'
}

/** bfloat16 where the device multiplies it in hardware: elsewhere on a CPU it is many times slower than float32. */
export function defaultDtype(device = 'cpu'): Dtype {
  return device !== 'cpu' || systemInformation().bfloat16Fast ? 'bfloat16' : 'float32'
}

/** The most memory that this process has held so far. */
export function peakMemoryBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}

/**
 * Lets {@link peakMemoryBytes} begin anew at what is held now. Linux alone can; elsewhere the peak stays that of the
 * process so far.
 */
export async function resetPeakMemory(): Promise<void> {
  // proc(5), clear_refs: 5 resets the peak resident set size. A container may not allow it.
  await writeFile('/proc/self/clear_refs', '5').catch(() => {})
}
