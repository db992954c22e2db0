/**
 * Whether other processes took CPU time while something was measured. Threads that wait for each other lose far more
 * to another process than the time that it takes.
 */
import { readFile } from 'node:fs/promises'

/** In clock ticks, of which a second of one core has 100. */
export interface CpuTime {
  /** Of all cores since the machine was started, a hypervisor's other guests included. */
  busy: number
  all: number
  /** Of this process and of those children of it that have ended, with theirs. */
  own: number
}

/** A share of other processes above this makes times untrustworthy. */
export const tolerableShare = 0.03

/** Undefined where the system does not tell (there is no /proc). */
export async function cpuTime(): Promise<CpuTime | undefined> {
  const [machine, own] = await Promise.all([
    readFile('/proc/stat', 'utf8').catch(() => undefined),
    readFile('/proc/self/stat', 'utf8').catch(() => undefined),
  ])
  if (machine === undefined || own === undefined) return undefined
  const numbers = (text: string) => text.trim().split(/\s+/).map(Number)
  const [cpu] = machine.split('\n', 1)
  const [user, nice, system, idle, wait, ...rest] = numbers(cpu!.slice('cpu'.length)).slice(0, 8)
  const busy = [user!, nice!, system!, ...rest].reduce((a, b) => a + b)
  // The fields of /proc/PID/stat are counted behind the command's name, which may hold anything: utime, stime, and
  // the same of children.
  const times = numbers(own.slice(own.lastIndexOf(')') + 1)).slice(11, 15)
  return { busy, all: busy + idle! + wait!, own: times.reduce((a, b) => a + b) }
}

/** The share of the machine's CPU time that others took, 0 to 1. Below three ticks nothing can be said: 0. */
export function otherCpuShare(before: CpuTime | undefined, after: CpuTime | undefined): number | undefined {
  if (before === undefined || after === undefined) return undefined
  const others = after.busy - before.busy - (after.own - before.own)
  return others < 3 ? 0 : others / Math.max(1, after.all - before.all)
}

/** Runs `work` and says which share others took of the CPU meanwhile. */
export async function watched<T>(work: () => Promise<T>): Promise<{ result: T; others: number | undefined }> {
  const before = await cpuTime()
  const result = await work()
  return { result, others: otherCpuShare(before, await cpuTime()) }
}
