/** Arithmetic over whole numbers as written: parsed, never run. Values are exact fractions. */
import { add, multiply, power, type Rational, rational } from '../grading/rational.js'

export type Operator = '+' | '-' | '*' | '/'

export type Calculation =
  | { kind: 'number'; value: number }
  | { kind: 'operation'; operator: Operator; left: Calculation; right: Calculation }

/** Why a text is no calculation. */
export class NotACalculation extends Error {}

/** Longer or deeper texts are no answer. */
const longest = 500
const deepest = 50

const spellings: readonly (readonly [RegExp, string])[] = [
  [/\\(?:left|right|displaystyle|,|;|!| )/g, ' '],
  [/\\(?:times|cdot|ast)\b|×|·|⋅|∗/g, '*'],
  [/\\div\b|÷|∕/g, '/'],
  [/[−–]/g, '-'],
  [/[[{]/g, '('],
  [/[\]}]/g, ')'],
]

/**
 * Reads + - * / (also × ÷ \times \div \frac{a}{b}), brackets and whole numbers.
 * @throws {NotACalculation}
 */
export function parseCalculation(text: string): Calculation {
  if (text.length > longest) throw new NotACalculation(`longer than ${longest} characters`)
  let plain = text.replaceAll(/\\d?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, '(($1)/($2))')
  for (const [pattern, replacement] of spellings) plain = plain.replaceAll(pattern, replacement)
  const tokens = plain.match(/\d+|[-+*/()]|\S/g) ?? []
  const parser = new Parser(tokens)
  return parser.whole()
}

class Parser {
  private position = 0
  private depth = 0

  constructor(private readonly tokens: readonly string[]) {}

  whole(): Calculation {
    const result = this.sum()
    const rest = this.tokens[this.position]
    if (rest !== undefined) throw new NotACalculation(`${rest} is not expected`)
    return result
  }

  private sum(): Calculation {
    return this.chain(['+', '-'], () => this.chain(['*', '/'], () => this.operand()))
  }

  private chain(operators: readonly string[], operand: () => Calculation): Calculation {
    let left = operand()
    while (operators.includes(this.tokens[this.position] ?? '')) {
      const operator = this.tokens[this.position++] as Operator
      left = { kind: 'operation', operator, left, right: operand() }
    }
    return left
  }

  private operand(): Calculation {
    const token = this.tokens[this.position++]
    if (token === '(') {
      if (++this.depth > deepest) throw new NotACalculation(`brackets deeper than ${deepest}`)
      const inside = this.sum()
      if (this.tokens[this.position++] !== ')') throw new NotACalculation('a bracket is not closed')
      this.depth--
      return inside
    }
    if (token === undefined || !/^\d{1,15}$/.test(token))
      throw new NotACalculation(token === undefined ? 'it ends too soon' : `${token} is not expected`)
    return { kind: 'number', value: Number(token) }
  }
}

/** The numbers in a calculation, in the order in which they stand. */
export function numbersIn(calculation: Calculation): number[] {
  if (calculation.kind === 'number') return [calculation.value]
  return [...numbersIn(calculation.left), ...numbersIn(calculation.right)]
}

/** @returns undefined where something is divided by zero */
export function valueOfCalculation(calculation: Calculation): Rational | undefined {
  if (calculation.kind === 'number') return rational(BigInt(calculation.value))
  const [a, b] = [valueOfCalculation(calculation.left), valueOfCalculation(calculation.right)]
  if (a === undefined || b === undefined) return undefined
  const minusOne: Rational = { numerator: -1n, denominator: 1n }
  switch (calculation.operator) {
    case '+':
      return add(a, b)
    case '-':
      return add(a, multiply(minusOne, b)!)
    case '*':
      return multiply(a, b)
    case '/': {
      const inverse = power(b, minusOne)
      return inverse && multiply(a, inverse)
    }
  }
}

/** With as few brackets as the same tree can have. */
export function formatCalculation(calculation: Calculation): string {
  if (calculation.kind === 'number') return String(calculation.value)
  const { operator, left, right } = calculation
  return `${bracketed(left, operator, false)} ${operator} ${bracketed(right, operator, true)}`
}

function bracketed(part: Calculation, outer: Operator, isRight: boolean): string {
  const text = formatCalculation(part)
  if (part.kind === 'number') return text
  const [inner, around] = [strength(part.operator), strength(outer)]
  // The same tree, not only the same value: a + (b + c) keeps its brackets.
  return inner < around || (inner === around && isRight) ? `(${text})` : text
}

const strength = (operator: Operator) => (operator === '+' || operator === '-' ? 1 : 2)
