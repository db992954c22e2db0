/** What the benchmarks of rlt have in common with those of its peers: their work, their clock, their memory. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { peakMemoryBytes } from '../lib/index.js'
import { packageRoot } from '../lib/packageRoot.js'

/** One GRPO step; see workloads.json, which bench/peers/trl_step.py reads too. */
export interface StepWorkload {
  prompts: number
  /** Of each prompt. */
  completions: number
  /** Of each completion: exactly so many. */
  tokens: number
  /** Rows of question and solution, of which the first `prompts` are taken. */
  data: string
  teacherUser: string
  studentUser: string
  /** What stands between the explanation and the solution in the student's text. */
  beforeSolution: string
  temperature: number
  beta: number
  clip: number
  learningRate: number
  maxGradNorm: number
  /** rlt's alone: TRL's moments have the type of its weights, bfloat16, and it keeps no fp32 master weights. */
  moments: '8bit' | 'float32'
}

/** A piece of the engine's work; see workloads.json, which bench/peers/transformers_work.py reads too. */
export type PieceOfWork =
  | { kind: 'generate'; prompts: number; samples: number; promptTokens: number; newTokens: number }
  | { kind: 'logprobs'; sequences: number; sharedTokens: number; ownTokens: number }
  | { kind: 'backward'; sequences: number; sequenceTokens: number }

export interface Workloads {
  step: StepWorkload
  work: Record<string, PieceOfWork>
}

export async function readWorkloads(): Promise<Workloads> {
  return JSON.parse(await readFile(join(packageRoot(), 'lib', 'bench', 'workloads.json'), 'utf8'))
}

/** Runs `work` and says how many seconds it took. */
export async function timed<T>(work: () => Promise<T>): Promise<{ result: T; seconds: number }> {
  const start = performance.now()
  const result = await work()
  return { result, seconds: (performance.now() - start) / 1000 }
}

/**
 * The most memory that this process has held, in bytes: VmHWM, the figure that the peers report of themselves. Where
 * there is no /proc, what the system's accounting says.
 */
export async function peakMemory(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  return kilobytes === undefined ? peakMemoryBytes() : Number(kilobytes) * 1024
}
