/** Equations and inequalities. */
import {
  type Answer,
  difference,
  type Expression,
  isExpression,
  negative,
  quotient,
  type Relation,
  symbolsOf,
} from './answer.js'
import { evaluate } from './evaluate.js'

type Same = (a: Expression, b: Expression) => boolean
type RelationAnswer = Extract<Answer, { kind: 'relation' }>

export function isEquation(answer: Answer): boolean {
  if (answer.kind === 'relation') return answer.relations.every(relation => relation === '=')
  return answer.kind === 'set' && answer.elements.length > 0 && answer.elements.every(isEquation)
}

/** An equation whose left side is a name: x = 5, f(x) = x + 1, (x, y) = (1, 2). */
export function isAssignment(answer: Answer): boolean {
  if (answer.kind === 'set') return answer.elements.length > 0 && answer.elements.every(isAssignment)
  return answer.kind === 'relation' && isEquation(answer) && isName(answer.sides[0]!)
}

/** What an equation says of its left side; of several, each. */
export function lastSide(answer: Answer): Answer {
  if (answer.kind === 'set') return { kind: 'set', elements: answer.elements.map(lastSide) }
  return answer.kind === 'relation' ? answer.sides.at(-1)! : answer
}

function isName(side: Answer): boolean {
  if (side.kind === 'tuple' || side.kind === 'set') return side.elements.every(isName)
  if (side.kind === 'product') return side.factors.every(isName)
  return side.kind === 'symbol'
}

const flipped: Record<Relation, Relation> = {
  '=': '=',
  '!=': '!=',
  '<': '>',
  '>': '<',
  '<=': '>=',
  '>=': '<=',
}

export function compareRelations(answer: RelationAnswer, given: RelationAnswer, same: Same): boolean {
  const [a, b] = [shortened(answer), shortened(given)]
  if (a.relations.length !== b.relations.length) return false
  const reversed: RelationAnswer = {
    kind: 'relation',
    sides: b.sides.toReversed(),
    relations: b.relations.toReversed().map(relation => flipped[relation]),
  }
  if (a.relations.length > 1) return sameSides(a, b, same) || sameSides(a, reversed, same)
  return [b, reversed].some(other => a.relations[0] === other.relations[0] && sameCondition(a, other, same))
}

/** Of x = 2 + 3 = 5, what is said is x = 5. */
function shortened(relation: RelationAnswer): RelationAnswer {
  if (!isAssignment(relation)) return relation
  return { kind: 'relation', sides: [relation.sides[0]!, relation.sides.at(-1)!], relations: ['='] }
}

function sameSides(a: RelationAnswer, b: RelationAnswer, same: Same): boolean {
  return (
    a.relations.every((relation, i) => relation === b.relations[i]) &&
    a.sides.every(
      (side, i) => isExpression(side) && isExpression(b.sides[i]!) && same(side, b.sides[i] as Expression),
    )
  )
}

/** a R b and c R d are the same condition if a - b is a multiple of c - d; of inequalities, a positive one. */
function sameCondition(a: RelationAnswer, b: RelationAnswer, same: Same): boolean {
  const [left, right] = [zeroForm(a), zeroForm(b)]
  if (left === undefined || right === undefined) return false
  if (same(left, right)) return true
  // x = 5 and 2x = 10 are told apart: the first is an answer, the second is not solved.
  if (isAssignment(a) && symbolsOf(left).size === 1) return false
  const ratio = ratioOf(left, right)
  if (ratio === undefined || !Number.isFinite(ratio) || ratio === 0) return false
  if (a.relations[0] !== '=' && a.relations[0] !== '!=' && ratio < 0) return false
  return same(quotient(left, right), ratioExpression(ratio))
}

function zeroForm({ sides }: RelationAnswer): Expression | undefined {
  const [a, b] = sides
  return isExpression(a!) && isExpression(b!) ? difference(a, b) : undefined
}

function ratioOf(left: Expression, right: Expression): number | undefined {
  const names = [...new Set([...symbolsOf(left), ...symbolsOf(right)])]
  const values = new Map(names.map((name, i) => [name, 0.5772156 + 0.3183098 * i]))
  const [x, y] = [evaluate(left, values), evaluate(right, values)]
  return x.im === 0 && y.im === 0 ? x.re / y.re : undefined
}

/** A double exactly. */
function ratioExpression(ratio: number): Expression {
  const scale = 2n ** 60n
  const value = { numerator: BigInt(Math.round(Math.abs(ratio) * Number(scale))), denominator: scale }
  const expression: Expression = { kind: 'number', value, decimal: true }
  return ratio < 0 ? negative(expression) : expression
}

/** -2 < x <= 5 as an interval; undefined where it is not about one variable alone. */
export function relationAsSet({ sides, relations }: RelationAnswer): Answer | undefined {
  const infinity: Expression = { kind: 'constant', name: 'infinity' }
  const increasing = relations.every(relation => relation === '<' || relation === '<=')
  const decreasing = relations.every(relation => relation === '>' || relation === '>=')
  if (!increasing && !decreasing) return undefined
  const [ends, strict] = increasing
    ? [sides, relations]
    : [sides.toReversed(), relations.toReversed().map(relation => flipped[relation])]
  const at = ends.findIndex(side => side.kind === 'symbol')
  const others = ends.filter((_, i) => i !== at)
  if (at < 0 || ends.length > 3 || (ends.length === 3 && at !== 1)) return undefined
  if (!others.every(side => isExpression(side) && symbolsOf(side).size === 0)) return undefined
  const low = at === 0 ? negative(infinity) : (ends[at - 1] as Expression)
  const high = at === ends.length - 1 ? infinity : (ends[at + 1] as Expression)
  const lowOpen = at === 0 || strict[at - 1] === '<'
  const highOpen = at === ends.length - 1 || strict[at] === '<'
  return { kind: 'interval', low, high, lowOpen, highOpen }
}
