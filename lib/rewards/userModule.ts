/** The user's own reward terms: modules in JavaScript or TypeScript that the configuration names. */
import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createJiti } from 'jiti'
import type { RewardConfig } from '../config/index.js'
import { nearest } from '../config/suggest.js'
import { ConfigurationError } from '../errors.js'
import { correctness } from './correctness.js'

/** What a term is told of one explanation that was ended. */
export interface TermInput {
  question: string
  solution: string
  /** The final answer alone, where the data set has it. */
  answer: string | null
  explanation: string
  /** The explanation's tokens, in the teacher's tokenizer. */
  tokens: Int32Array
  /** The teacher's log-probability of each of them. */
  teacherLogProbs: Float32Array
  /** Of each student, in the order of the configuration. */
  students: readonly { solutionLogProbs: Float32Array; explanationLogProbs: Float32Array }[]
}

/**
 * What a module exports under the name `reward`: the value of its term for one explanation. It must be a function of
 * its arguments alone, else a run cannot be repeated. NaN takes the explanation out of its group.
 */
export type TermFunction = (input: TermInput, options: Record<string, unknown>) => number | Promise<number>

export interface Term {
  /** The module's file name without its extension, which names the term in metrics: reward/NAME. */
  name: string
  weight: number
  value(input: TermInput): Promise<number>
}

/**
 * @throws {ConfigurationError} a module cannot be loaded, or exports no function `reward`
 */
export async function loadTerms(terms: RewardConfig['terms']): Promise<Term[]> {
  const loaded: Term[] = []
  for (const { module, weight, options } of terms) {
    const name = uniqueName(nameOf(module), loaded)
    const reward = await loadFunction(module)
    loaded.push({ name, weight, value: input => callTerm(reward, module, input, options) })
  }
  return loaded
}

/** Terms that need no file. */
const ownTerms: Readonly<Record<string, TermFunction>> = { correctness }

async function loadFunction(module: string): Promise<TermFunction> {
  if (Object.hasOwn(ownTerms, module)) return ownTerms[module]!
  let exported: Record<string, unknown>
  try {
    // jiti for TypeScript, which Node 20 does not read and newer versions not all of, and for packages, which are the
    // user's and so are looked for from the working directory.
    exported =
      isAbsolute(module) && /\.[cm]?js$/.test(module)
        ? await import(pathToFileURL(module).href)
        : await createJiti(`${process.cwd()}/`, { fsCache: false }).import(module)
  } catch (error) {
    throw new ConfigurationError(
      `reward.terms: the module ${module} cannot be loaded: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
  if (typeof exported.reward === 'function') return exported.reward as TermFunction
  const names = Object.keys(exported)
  const meant = nearest('reward', names)
  throw new ConfigurationError(
    `reward.terms: the module ${module} exports ${names.join(', ') || 'nothing'}; ` +
      `expected a function named reward${meant ? ` (is ${meant} meant?)` : ''}:\n` +
      '  export function reward({ question, solution, answer, explanation }, options) { return 0 }',
  )
}

async function callTerm(
  reward: TermFunction,
  module: string,
  input: TermInput,
  options: Record<string, unknown>,
): Promise<number> {
  let value: unknown
  try {
    value = await reward(input, options)
  } catch (error) {
    throw new ConfigurationError(`The reward term ${module} failed: ${(error as Error).message}`, {
      cause: error,
    })
  }
  if (typeof value === 'number') return value
  throw new ConfigurationError(
    `The reward term ${module} returned ${value === null ? 'null' : `a ${typeof value}`}; expected a number`,
  )
}

function nameOf(module: string): string {
  const base = module
    .split('/')
    .at(-1)!
    .replace(/\.[cm]?[jt]s$/, '')
  // Names of the teacher reward's own parts are taken.
  return base === 'understanding' || base === 'naturalness' ? `${base}-term` : base
}

function uniqueName(name: string, others: readonly Term[]): string {
  let unique = name
  for (let i = 2; others.some(other => other.name === unique); i++) unique = `${name}-${i}`
  return unique
}
