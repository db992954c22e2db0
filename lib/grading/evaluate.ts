/** The value of an expression: exact where it is a fraction, else in doubles. Bounded in time by the length of the text. */
import type { Expression, FunctionName } from './answer.js'
import {
  type Complex,
  complex,
  cosine,
  divide,
  exponential,
  logarithm,
  magnitude,
  plus,
  raise,
  sine,
  times,
} from './complex.js'
import { add, floor, multiply, power, type Rational, rational, toNumber } from './rational.js'

/** @returns undefined if it is no fraction, has symbols, or is too long */
export function evaluateExactly(expression: Expression): Rational | undefined {
  switch (expression.kind) {
    case 'number':
      return expression.value
    case 'sum':
      return fold(expression.terms, add)
    case 'product':
      return fold(expression.factors, multiply)
    case 'percent':
      return both(evaluateExactly(expression.of), rational(1n, 100n), multiply)
    case 'power':
      return both(evaluateExactly(expression.base), evaluateExactly(expression.exponent), power)
    case 'call':
      return callExactly(expression.name, expression.parameters.map(evaluateExactly))
    default:
      return undefined
  }
}

type Operation = (a: Rational, b: Rational) => Rational | undefined

function both(a: Rational | undefined, b: Rational | undefined, operation: Operation): Rational | undefined {
  return a === undefined || b === undefined ? undefined : operation(a, b)
}

function fold(parts: readonly Expression[], operation: Operation): Rational | undefined {
  const [first, ...rest] = parts
  let result = evaluateExactly(first!)
  for (const part of rest) {
    if (result === undefined) return undefined
    result = both(result, evaluateExactly(part), operation)
  }
  return result
}

function callExactly(name: FunctionName, values: readonly (Rational | undefined)[]): Rational | undefined {
  const [a, b] = values
  if (a === undefined || values.includes(undefined)) return undefined
  const known = values as readonly Rational[]
  switch (name) {
    case 'abs':
      return rational(a.numerator < 0n ? -a.numerator : a.numerator, a.denominator)
    case 'floor':
      return rational(floor(a))
    case 'ceil':
      return rational(-floor({ numerator: -a.numerator, denominator: a.denominator }))
    case 'factorial':
      return isSmallCount(a) ? rational(productOf(1n, a.numerator)) : undefined
    case 'binomial':
      return b !== undefined && isSmallCount(a) && isSmallCount(b)
        ? binomial(a.numerator, b.numerator)
        : undefined
    case 'min':
      return known.reduce((x, y) => (toNumber(y) < toNumber(x) ? y : x))
    case 'max':
      return known.reduce((x, y) => (toNumber(y) > toNumber(x) ? y : x))
    default:
      return undefined
  }
}

const isSmallCount = ({ numerator, denominator }: Rational) =>
  denominator === 1n && numerator >= 0n && numerator <= 1000n

function productOf(from: bigint, to: bigint): bigint {
  let result = 1n
  for (let i = from; i <= to; i++) result *= i
  return result
}

function binomial(n: bigint, k: bigint): Rational | undefined {
  return k > n ? rational(0n) : rational(productOf(n - k + 1n, n), productOf(1n, k))
}

/** @param symbols the value of each; one that lacks makes the result not a number */
export function evaluate(expression: Expression, symbols: ReadonlyMap<string, number> = new Map()): Complex {
  const valueIn = (part: Expression) => evaluate(part, symbols)
  switch (expression.kind) {
    case 'number':
      return complex(toNumber(expression.value))
    case 'symbol':
      return complex(symbols.get(expression.name) ?? Number.NaN)
    case 'constant':
      return constants[expression.name]
    case 'sum':
      return expression.terms.map(valueIn).reduce(plus)
    case 'product':
      return expression.factors.map(valueIn).reduce(times)
    case 'percent':
      return divide(valueIn(expression.of), complex(100))
    case 'power':
      return raise(valueIn(expression.base), valueIn(expression.exponent))
    case 'call': {
      const exact = evaluateExactly(expression)
      if (exact !== undefined) return complex(toNumber(exact))
      return callNumerically(expression.name, expression.parameters.map(valueIn))
    }
  }
}

/** Not a number where the value is complex. */
export function evaluateReal(expression: Expression): number {
  const { re, im } = evaluate(expression)
  return Math.abs(im) <= 1e-12 * Math.abs(re) ? re : Number.NaN
}

const constants = {
  pi: complex(Math.PI),
  e: complex(Math.E),
  i: complex(0, 1),
  infinity: complex(Number.POSITIVE_INFINITY),
}

const notANumber = complex(Number.NaN)
const one = complex(1)

function callNumerically(name: FunctionName, parameters: readonly Complex[]): Complex {
  const [a = notANumber, b] = parameters
  const ofReal = (compute: (x: number) => number) => (a.im === 0 ? complex(compute(a.re)) : notANumber)
  switch (name) {
    case 'sin':
      return sine(a)
    case 'cos':
      return cosine(a)
    case 'tan':
      return divide(sine(a), cosine(a))
    case 'cot':
      return divide(cosine(a), sine(a))
    case 'sec':
      return divide(one, cosine(a))
    case 'csc':
      return divide(one, sine(a))
    case 'arcsin':
      return ofReal(Math.asin)
    case 'arccos':
      return ofReal(Math.acos)
    case 'arctan':
      return ofReal(Math.atan)
    case 'sinh':
      return ofReal(Math.sinh)
    case 'cosh':
      return ofReal(Math.cosh)
    case 'tanh':
      return ofReal(Math.tanh)
    case 'exp':
      return exponential(a)
    case 'ln':
      return logarithm(a)
    case 'log':
      return divide(logarithm(a), logarithm(b ?? complex(10)))
    case 'abs':
      return complex(magnitude(a))
    case 'floor':
      return ofReal(Math.floor)
    case 'ceil':
      return ofReal(Math.ceil)
    case 'min':
      return complex(Math.min(...parameters.map(({ re }) => re)))
    case 'max':
      return complex(Math.max(...parameters.map(({ re }) => re)))
    // Of fractions only, which are evaluated exactly.
    case 'factorial':
    case 'binomial':
      return notANumber
  }
}
