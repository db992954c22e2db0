/** Countdown problems that have a solution, for they are made from one. */
import { hashCounters, permutation, purposes } from '../data/index.js'
import { UsageError } from '../errors.js'
import type { Calculation, Operator } from './expression.js'
import { formatCalculation } from './expression.js'
import { workedSolution } from './solve.js'

export interface CountdownOptions {
  /** Fewest and most numbers of a problem, 2 to 8. Default 3 to 6. */
  fewestNumbers?: number
  mostNumbers?: number
  /** Numbers are 1 to this. Default 99. */
  largestNumber?: number
  /** Targets are 1 to this. Default 999. */
  largestTarget?: number
}

export interface CountdownProblem {
  numbers: number[]
  target: number
  question: string
  /** Worked step by step, with the calculation in a box at its end. */
  solution: string
  /** The calculation alone; one of those that are right. */
  answer: string
}

/** More than are ever needed: most tries come to something. */
const mostTries = 10_000

/**
 * The problem at a place of the endless list that belongs to a seed: the same whatever else is made.
 *
 * Numbers are drawn one by one, and joined two by two by a random operation whose result is a positive whole number;
 * what comes of it is the target, if it is small enough.
 *
 * @param place from 0
 * @throws {UsageError} the options leave no problem
 */
export function countdownProblem(
  seed: number,
  place: number,
  options: CountdownOptions = {},
): CountdownProblem {
  const { fewestNumbers = 3, mostNumbers = 6, largestNumber = 99, largestTarget = 999 } = options
  checkRange('fewestNumbers', fewestNumbers, 2, mostNumbers)
  checkRange('mostNumbers', mostNumbers, fewestNumbers, 8)
  checkRange('largestNumber', largestNumber, 1, 1e6)
  checkRange('largestTarget', largestTarget, mostNumbers, 1e6)
  for (let attempt = 0; attempt < mostTries; attempt++) {
    let drawn = 0
    const draw = (below: number) =>
      Number(hashCounters(seed, purposes.countdown, place, attempt, drawn++) % BigInt(below))
    const count = fewestNumbers + draw(mostNumbers - fewestNumbers + 1)
    const numbers = Array.from({ length: count }, () => 1 + draw(largestNumber))
    const made = randomCalculation(numbers, draw)
    if (made.value > largestTarget || numbers.includes(made.value)) continue
    // In another order than that in which the calculation takes them.
    const order = permutation(count, seed, purposes.countdown, place, attempt)
    const shuffled = [...order].map(i => numbers[i]!)
    return {
      numbers: shuffled,
      target: made.value,
      question: countdownQuestion(shuffled, made.value),
      solution: workedSolution(made.calculation),
      answer: formatCalculation(made.calculation),
    }
  }
  throw new UsageError(
    `no countdown problem with ${fewestNumbers} to ${mostNumbers} numbers up to ${largestNumber} and a target up to ` +
      `${largestTarget} was found; expected a larger target or smaller numbers`,
  )
}

export function countdownQuestion(numbers: readonly number[], target: number): string {
  return (
    `Using each of the numbers ${numbers.slice(0, -1).join(', ')} and ${numbers.at(-1)} exactly once, the operations ` +
    `+, -, * and /, and brackets, write an expression that equals ${target}. Give the expression in \\boxed{}.`
  )
}

/** The numbers and the target of a question as {@link countdownQuestion} words it. */
export function readCountdownQuestion(question: string): { numbers: number[]; target: number } | undefined {
  const [, listed, target] =
    /\bUsing each of the numbers ((?:\d+, )*\d+ and \d+) exactly once.{1,100}\bequals (\d+)\./.exec(
      question,
    ) ?? []
  if (listed === undefined) return undefined
  return { numbers: listed.match(/\d+/g)!.map(Number), target: Number(target) }
}

interface Valued {
  value: number
  calculation: Calculation
}

function randomCalculation(numbers: readonly number[], draw: (below: number) => number): Valued {
  const parts: Valued[] = numbers.map(value => ({ value, calculation: { kind: 'number', value } }))
  while (parts.length > 1) {
    const [a] = parts.splice(draw(parts.length), 1) as [Valued]
    const [b] = parts.splice(draw(parts.length), 1) as [Valued]
    const [high, low] = a.value >= b.value ? [a, b] : [b, a]
    const possible: [Operator, number][] = [
      ['+', high.value + low.value],
      ['*', high.value * low.value],
    ]
    if (high.value > low.value) possible.push(['-', high.value - low.value])
    if (high.value % low.value === 0) possible.push(['/', high.value / low.value])
    const [operator, value] = possible[draw(possible.length)]!
    parts.push({
      value,
      calculation: { kind: 'operation', operator, left: high.calculation, right: low.calculation },
    })
  }
  return parts[0]!
}

function checkRange(name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high)
    throw new UsageError(`${name}: expected a whole number from ${low} to ${high}, got ${value}`)
}
