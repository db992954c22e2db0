/** Whether two answers are the same: written otherwise, in another order, rounded to six places. */
import {
  type Answer,
  difference,
  type Expression,
  isExpression,
  negative,
  symbolsOf,
  visit,
} from './answer.js'
import { magnitude, minus } from './complex.js'
import { evaluate, evaluateExactly } from './evaluate.js'
import { equals, round } from './rational.js'
import { compareRelations, isAssignment, isEquation, lastSide, relationAsSet } from './relations.js'
import { compareSets } from './sets.js'

/** Places that a decimal fraction is compared to. */
const decimalPlaces = 6

/**
 * Follows math-verify's `verify` (its grader.py), but never takes longer than its input is long: two expressions are
 * the same if they have the same values at several points.
 *
 * Not symmetric: `answer` says whether x = 5 is meant, or 5 alone.
 * @param answer what is right
 * @param given what is graded
 */
export function sameAnswer(answer: Answer, given: Answer): boolean {
  const [a, b] = unwrapped(answer, given)
  if (a.kind === 'relation' && b.kind === 'relation') return compareRelations(a, b, sameExpression)
  if (a.kind === 'relation') {
    const set = b.kind === 'interval' || b.kind === 'union' ? relationAsSet(a) : undefined
    return set !== undefined && compareSets(set, b, sameAnswer)
  }
  if (b.kind === 'relation') return false
  if (a.kind === 'matrix' || b.kind === 'matrix') return sameMatrix(a, b)
  if (isExpression(a) && isExpression(b)) return sameExpression(a, b)
  return compareSets(a, b, sameAnswer)
}

/** An equation that names what is asked for is as good as its right side, unless the answer is such an equation too. */
function unwrapped(answer: Answer, given: Answer): [Answer, Answer] {
  const a = answer.kind === 'set' ? { ...answer, elements: answer.elements } : answer
  if (isEquation(given) && !isEquation(a)) return [a, lastSide(given)]
  if (isAssignment(a) && !isEquation(given)) return [lastSide(a), given]
  return [a, given]
}

function sameMatrix(a: Answer, b: Answer): boolean {
  if (a.kind !== 'matrix' || b.kind !== 'matrix' || a.rows.length !== b.rows.length) return false
  return a.rows.every((row, i) => {
    const other = b.rows[i]!
    return row.length === other.length && row.every((entry, j) => sameExpression(entry, other[j]!))
  })
}

export function sameExpression(a: Expression, b: Expression): boolean {
  if (basesDiffer(a, b)) return false
  const names = [wordIn(a), wordIn(b)]
  if (names[0] !== undefined && names[0] === names[1]) return true
  const [exactA, exactB] = [evaluateExactly(a), evaluateExactly(b)]
  const rounded = isDecimal(a) || isDecimal(b)
  if (exactA !== undefined && exactB !== undefined) {
    if (equals(exactA, exactB)) return true
    if (rounded) return round(exactA, decimalPlaces) === round(exactB, decimalPlaces)
    return samePercentage(a, b)
  }
  const symbols = [...symbolsOf(difference(a, b))]
  return symbols.length === 0 ? sameValue(a, b, rounded) : sameAtPoints(a, b, symbols)
}

/** 72_8 is not 72_9; but an index that is left out may be meant. */
function basesDiffer(a: Expression, b: Expression): boolean {
  return (
    a.kind === 'number' &&
    b.kind === 'number' &&
    a.base !== undefined &&
    b.base !== undefined &&
    a.base !== b.base
  )
}

/** A word in \text{…}, or the product of letters that it is without. */
function wordIn(expression: Expression): string | undefined {
  if (expression.kind === 'symbol') return expression.name
  if (expression.kind !== 'product') return undefined
  const letters = expression.factors.map(factor =>
    factor.kind === 'symbol'
      ? factor.name
      : factor.kind === 'constant' && factor.name.length === 1
        ? factor.name
        : undefined,
  )
  return letters.includes(undefined) ? undefined : letters.join('')
}

/** A number with a decimal point, alone: then it may be rounded. */
function isDecimal(expression: Expression): boolean {
  const alone = withoutSign(withoutPercent(expression))
  return alone.kind === 'number' && alone.decimal
}

function withoutSign(expression: Expression): Expression {
  if (expression.kind !== 'product' || expression.factors.length !== 2) return expression
  const [sign, rest] = expression.factors
  return sign!.kind === 'number' && sign!.value.numerator === -1n && sign!.value.denominator === 1n
    ? rest!
    : expression
}

/** 9 for 9 %, as many write it; of whole numbers only, for 0.5 might be either. */
function samePercentage(a: Expression, b: Expression): boolean {
  const [x, y] = [a, b].map(side => evaluateExactly(withoutPercent(side)))
  return x !== undefined && y !== undefined && x.denominator === 1n && equals(x, y)
}

function withoutPercent(expression: Expression): Expression {
  const alone = withoutSign(expression)
  if (alone.kind !== 'percent') return expression
  return alone === expression ? alone.of : negative(alone.of)
}

/** Relative error of values in doubles that are the same. */
const tolerance = 1e-11

function sameValue(a: Expression, b: Expression, rounded: boolean): boolean {
  const [x, y] = [evaluate(a), evaluate(b)]
  if (!Number.isFinite(magnitude(x)) || !Number.isFinite(magnitude(y)))
    return x.re === y.re && Math.abs(x.re) === Number.POSITIVE_INFINITY
  const apart = magnitude(minus(x, y))
  if (rounded) return apart <= 10 ** -decimalPlaces / 2
  return apart <= tolerance * Math.max(magnitude(x), magnitude(y), termSize(a), termSize(b))
}

/** The largest of what is added up: a difference of large numbers is as imprecise as they are. */
function termSize(expression: Expression): number {
  if (expression.kind !== 'sum') return 0
  return Math.min(1, Math.max(...expression.terms.map(term => magnitude(evaluate(term)))))
}

/** Neither small integers nor simple fractions of them, of both signs, so that no identity holds there by chance. */
const points = [0.7320508, 1.6180339, 2.2360679, -0.8414709, -1.259921, 3.3019272, -2.6457513, 0.2899777]
const fewestPoints = 3

function sameAtPoints(a: Expression, b: Expression, symbols: readonly string[]): boolean {
  if (!agreeOnSymbols(a, b)) return false
  let valid = 0
  for (const [i, point] of points.entries()) {
    const values = new Map(
      symbols.map((name, j) => [name, points[(i + 3 * j) % points.length]! + 0.0123 * j + point * 0.001]),
    )
    const [x, y] = [evaluate(a, values), evaluate(b, values)]
    const size = Math.max(magnitude(x), magnitude(y))
    if (!Number.isFinite(size)) continue
    if (magnitude(minus(x, y)) > 1e-9 * Math.max(size, 1e-3)) return false
    valid++
  }
  return valid >= fewestPoints
}

/** Words are the same or they are not: no value of theirs says anything. */
function agreeOnSymbols(a: Expression, b: Expression): boolean {
  const words = (expression: Expression) => {
    const found: string[] = []
    visit(expression, part => {
      if (part.kind === 'symbol' && part.name.includes(' ')) found.push(part.name)
    })
    return found.sort().join('|')
  }
  return words(a) === words(b)
}
