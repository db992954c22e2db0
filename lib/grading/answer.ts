/** What an answer can be, once it is read. */
import type { Rational } from './rational.js'

/** Something with a value, for values of its symbols. */
export type Expression =
  /** Its sign is a factor of -1 around it. `decimal`: written with a decimal point. `base`: an index that was written at it. */
  | { kind: 'number'; value: Rational; decimal: boolean; base?: string }
  /** A variable, or a word. */
  | { kind: 'symbol'; name: string }
  | { kind: 'constant'; name: 'pi' | 'e' | 'i' | 'infinity' }
  | { kind: 'sum'; terms: readonly Expression[] }
  | { kind: 'product'; factors: readonly Expression[] }
  | { kind: 'power'; base: Expression; exponent: Expression }
  | { kind: 'call'; name: FunctionName; parameters: readonly Expression[] }
  | { kind: 'percent'; of: Expression }

export const functionNames = [
  ...['sin', 'cos', 'tan', 'cot', 'sec', 'csc', 'arcsin', 'arccos', 'arctan', 'sinh', 'cosh', 'tanh'],
  ...['ln', 'log', 'exp', 'abs', 'floor', 'ceil', 'factorial', 'binomial', 'min', 'max'],
] as const
export type FunctionName = (typeof functionNames)[number]

export type Relation = '=' | '!=' | '<' | '>' | '<=' | '>='

export type Answer =
  | Expression
  /** Also a list without brackets. In the order in which they were written. */
  | { kind: 'set'; elements: readonly Answer[] }
  | { kind: 'tuple'; elements: readonly Answer[] }
  | { kind: 'interval'; low: Expression; high: Expression; lowOpen: boolean; highOpen: boolean }
  | { kind: 'union'; parts: readonly Answer[] }
  | { kind: 'matrix'; rows: readonly (readonly Expression[])[] }
  /** a < b < c: one relation fewer than sides. */
  | { kind: 'relation'; sides: readonly Answer[]; relations: readonly Relation[] }

const expressionKinds = new Set([
  'number',
  'symbol',
  'constant',
  'sum',
  'product',
  'power',
  'call',
  'percent',
])

export function isExpression(answer: Answer): answer is Expression {
  return expressionKinds.has(answer.kind)
}

export const integer = (value: bigint): Expression => ({
  kind: 'number',
  value: { numerator: value, denominator: 1n },
  decimal: false,
})

export function negative(expression: Expression): Expression {
  return product([integer(-1n), expression])
}

export function product(factors: readonly Expression[]): Expression {
  const flat = factors.flatMap(factor => (factor.kind === 'product' ? factor.factors : [factor]))
  return flat.length === 1 ? flat[0]! : { kind: 'product', factors: flat }
}

export function sum(terms: readonly Expression[]): Expression {
  return terms.length === 1 ? terms[0]! : { kind: 'sum', terms }
}

export function quotient(above: Expression, below: Expression): Expression {
  return product([above, { kind: 'power', base: below, exponent: integer(-1n) }])
}

export function difference(a: Expression, b: Expression): Expression {
  return sum([a, negative(b)])
}

/** The names of the variables in an expression. */
export function symbolsOf(expression: Expression): Set<string> {
  const names = new Set<string>()
  visit(expression, part => {
    if (part.kind === 'symbol') names.add(part.name)
  })
  return names
}

export function visit(expression: Expression, see: (part: Expression) => void): void {
  see(expression)
  for (const part of partsOf(expression)) visit(part, see)
}

function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'sum':
      return expression.terms
    case 'product':
      return expression.factors
    case 'power':
      return [expression.base, expression.exponent]
    case 'call':
      return expression.parameters
    case 'percent':
      return [expression.of]
    default:
      return []
  }
}
