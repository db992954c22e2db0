/** The work of stages and whole steps, which the benchmarks of the peers (bench/peers) do too. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../packageRoot.js'

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
  | {
      kind: 'generate'
      prompts: number
      samples: number
      promptTokens: number
      newTokens: number
      /** Memory for keys and values, of what all samples at their full length take. Default: what is free. */
      cachePercent?: number
    }
  | { kind: 'logprobs'; sequences: number; sharedTokens: number; ownTokens: number }
  | { kind: 'backward'; sequences: number; sequenceTokens: number }

export interface Workloads {
  step: StepWorkload
  work: Record<string, PieceOfWork>
}

export async function readWorkloads(): Promise<Workloads> {
  return JSON.parse(await readFile(join(packageRoot(), 'lib', 'bench', 'workloads.json'), 'utf8'))
}

/** The same work on sequences that are `times` shorter, of at least 2 tokens. */
export function shrunk(work: PieceOfWork, times: number): PieceOfWork {
  const shorter = Object.entries(work).map(([key, value]) => [
    key,
    key.endsWith('Tokens') ? Math.max(2, Math.floor(Number(value) / times)) : value,
  ])
  return Object.fromEntries(shorter) as PieceOfWork
}
