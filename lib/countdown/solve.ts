/** Finds a calculation by trying all, and tells it step by step. */
import type { Calculation, Operator } from './expression.js'
import { formatCalculation, valueOfCalculation } from './expression.js'

/** A value on the way, as a fraction in lowest terms, and how it came about. */
interface Part {
  numerator: number
  denominator: number
  calculation: Calculation
}

/**
 * A calculation that uses each number exactly once and comes to the target.
 *
 * All are tried, but each set of values only once, and none with a negative value on the way: what such a one reaches,
 * a - b in place of b - a reaches too. Six numbers take at most some seconds.
 *
 * @param numbers whole numbers of at least 0
 * @param target a whole number of at least 0
 * @returns undefined if there is none
 */
export function solveCountdown(numbers: readonly number[], target: number): Calculation | undefined {
  const failed = new Set<string>()
  const search = (parts: readonly Part[]): Calculation | undefined => {
    if (parts.length === 1) {
      const [{ numerator, denominator, calculation }] = parts as [Part]
      return denominator === 1 && numerator === target ? calculation : undefined
    }
    const key = parts
      .map(({ numerator, denominator }) => `${numerator}/${denominator}`)
      .sort()
      .join(' ')
    if (failed.has(key)) return undefined
    for (let i = 0; i < parts.length; i++)
      for (let j = i + 1; j < parts.length; j++) {
        const rest = parts.filter((_, k) => k !== i && k !== j)
        for (const joined of combinations(parts[i]!, parts[j]!)) {
          const found = search([...rest, joined])
          if (found !== undefined) return found
        }
      }
    failed.add(key)
    return undefined
  }
  return search(
    numbers.map(value => ({ numerator: value, denominator: 1, calculation: { kind: 'number', value } })),
  )
}

function combinations(a: Part, b: Part): Part[] {
  const [high, low] = a.numerator * b.denominator >= b.numerator * a.denominator ? [a, b] : [b, a]
  const [p, q, r, s] = [high.numerator, high.denominator, low.numerator, low.denominator]
  const results = [
    join('+', high, low, p * s + r * q, q * s),
    join('*', high, low, p * r, q * s),
    join('-', high, low, p * s - r * q, q * s),
  ]
  if (r !== 0) results.push(join('/', high, low, p * s, q * r))
  if (p !== 0) results.push(join('/', low, high, r * q, s * p))
  // Beyond this, doubles are no longer exact; no target is near.
  return results.filter(({ numerator, denominator }) => numerator <= 2 ** 26 && denominator <= 2 ** 26)
}

function join(operator: Operator, left: Part, right: Part, numerator: number, denominator: number): Part {
  const divisor = greatestCommonDivisor(numerator, denominator)
  return {
    numerator: numerator / divisor,
    denominator: denominator / divisor,
    calculation: { kind: 'operation', operator, left: left.calculation, right: right.calculation },
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b]
  while (y !== 0) [x, y] = [y, x % y]
  return x
}

/** One step a line, from the inside out, then the whole. */
export function workedSolution(calculation: Calculation): string {
  const steps: string[] = []
  const visit = (part: Calculation): string => {
    if (part.kind === 'number') return String(part.value)
    const [left, right] = [visit(part.left), visit(part.right)]
    const value = formatted(part)
    steps.push(`${left} ${part.operator} ${right} = ${value}`)
    return value
  }
  visit(calculation)
  return `${steps.join('\n')}\nThe answer is \\boxed{${formatCalculation(calculation)}}.`
}

function formatted(calculation: Calculation): string {
  const value = valueOfCalculation(calculation)!
  return value.denominator === 1n ? String(value.numerator) : `(${value.numerator}/${value.denominator})`
}
