/** Sets, lists, tuples, intervals and unions of them. */
import { type Answer, isExpression } from './answer.js'

type Same = (a: Answer, b: Answer) => boolean

/** More elements than this are no answer to anything, and matching them takes their square. */
const mostElements = 200

export function compareSets(a: Answer, b: Answer, same: Same): boolean {
  if (a.kind === 'interval' && b.kind === 'interval')
    return a.lowOpen === b.lowOpen && a.highOpen === b.highOpen && same(a.low, b.low) && same(a.high, b.high)
  if (a.kind === 'union' && b.kind === 'union') return sameUnordered(a.parts, b.parts, same)
  const [left, right] = [elementsOf(a), elementsOf(b)]
  if (left === undefined || right === undefined) return false
  // A list without brackets, or a set, stands for a tuple too, in the order in which it was written.
  const ordered = a.kind === 'tuple' || a.kind === 'interval' || (b.kind === 'tuple' && a.kind !== 'set')
  return ordered ? sameOrdered(left, right, same) : sameUnordered(left, right, same)
}

/** (1,2) is an interval, or a pair. */
function elementsOf(answer: Answer): readonly Answer[] | undefined {
  switch (answer.kind) {
    case 'set':
    case 'tuple':
      return answer.elements
    case 'interval':
      return answer.lowOpen && answer.highOpen ? [answer.low, answer.high] : undefined
    default:
      return isExpression(answer) ? [answer] : undefined
  }
}

function sameOrdered(a: readonly Answer[], b: readonly Answer[], same: Same): boolean {
  return a.length === b.length && a.length <= mostElements && a.every((element, i) => same(element, b[i]!))
}

function sameUnordered(a: readonly Answer[], b: readonly Answer[], same: Same): boolean {
  const [left, right] = [withoutRepeated(a, same), withoutRepeated(b, same)]
  if (left === undefined || right === undefined || left.length !== right.length) return false
  const rest = [...right]
  return left.every(element => {
    const at = rest.findIndex(other => same(element, other))
    if (at >= 0) rest.splice(at, 1)
    return at >= 0
  })
}

function withoutRepeated(elements: readonly Answer[], same: Same): Answer[] | undefined {
  if (elements.length > mostElements) return undefined
  const unique: Answer[] = []
  for (const element of elements) if (!unique.some(other => same(other, element))) unique.push(element)
  return unique
}
