/** Reads an answer: what has a value, sets and lists of it, intervals, matrices, equations and inequalities. */
import { type Answer, type Expression, isExpression, type Relation } from '../answer.js'
import { evaluateExactly, evaluateReal } from '../evaluate.js'
import { toNumber } from '../rational.js'
import { ExpressionReader } from './expressions.js'
import { longestAnswer, normaliseLatex } from './normalise.js'
import { NotAnAnswer, Reader } from './reader.js'
import { tokenise } from './tokens.js'

/**
 * @param latex without the dollar signs or the box around it
 * @returns undefined if it cannot be read
 */
export function parseAnswer(latex: string): Answer | undefined {
  if (latex.length > longestAnswer) return undefined
  const tokens = tokenise(normaliseLatex(latex))
  if (tokens === undefined || tokens.length === 0) return undefined
  try {
    return new AnswerReader(new Reader(tokens)).whole()
  } catch (error) {
    if (error instanceof NotAnAnswer) return undefined
    throw error
  }
}

const relationSymbols: Record<string, Relation> = {
  '=': '=',
  '<': '<',
  '>': '>',
  '<=': '<=',
  '>=': '>=',
  '!=': '!=',
}
const relationCommands: Record<string, Relation> = { le: '<=', ge: '>=', ne: '!=', approx: '=', equiv: '=' }

class AnswerReader {
  private readonly expressions: ExpressionReader

  constructor(private readonly tokens: Reader) {
    this.expressions = new ExpressionReader(tokens, () => this.brackets())
  }

  whole(): Answer {
    const items = withCommonName(this.items())
    if (!this.tokens.done) throw new NotAnAnswer()
    return items.length === 1 ? items[0]! : { kind: 'set', elements: items }
  }

  /** Separated by commas or semicolons; a comma before "and" makes two in a row. */
  private items(): Answer[] {
    const items = this.item()
    while (this.tokens.takeSymbol(',', ';')) {
      while (this.tokens.takeSymbol(',', ';'));
      items.push(...this.item())
    }
    return items
  }

  /** Two answers where there is a \pm. */
  private item(): Answer[] {
    const { expressions, tokens } = this
    const start = tokens.mark
    const outer = { sign: expressions.sign, met: expressions.signMet }
    expressions.sign = 1
    expressions.signMet = false
    const first = this.chain()
    const items = [first]
    if (expressions.signMet) {
      tokens.backTo(start)
      expressions.sign = -1
      items.push(this.chain())
    }
    expressions.sign = outer.sign
    expressions.signMet = outer.met
    return items
  }

  /** a, a = b or a < b < c. */
  private chain(): Answer {
    const sides: Answer[] = [this.union()]
    const relations: Relation[] = []
    for (;;) {
      if (this.tokens.takeCommand('in')) {
        // Of x ∈ S, S is the answer.
        return this.union()
      }
      const relation = this.relation()
      if (relation === undefined) break
      relations.push(relation)
      sides.push(this.union())
    }
    return relations.length === 0 ? sides[0]! : { kind: 'relation', sides, relations }
  }

  private relation(): Relation | undefined {
    const token = this.tokens.peek()
    const found =
      token?.type === 'symbol'
        ? relationSymbols[token.text]
        : token?.type === 'command'
          ? relationCommands[token.text]
          : undefined
    if (found !== undefined) this.tokens.next()
    return found
  }

  private union(): Answer {
    const parts = [this.expressions.sum()]
    while (this.tokens.takeCommand('cup')) parts.push(this.expressions.sum())
    return parts.length === 1 ? parts[0]! : { kind: 'union', parts }
  }

  private brackets(): Answer {
    return this.tokens.nested(() => {
      const open = this.tokens.expect('(', '[', '{', '\\{')
      if (open === '\\{' && this.tokens.takeSymbol('\\}')) return { kind: 'set', elements: [] }
      const items = this.items()
      const close = this.tokens.expect(...closing[open]!)
      if (open === '\\{') return { kind: 'set', elements: items }
      if (items.length === 1) return items[0]!
      if (open === '{') return { kind: 'set', elements: items }
      return intervalOf(open, items, close) ?? { kind: 'tuple', elements: items }
    })
  }
}

/** x = 1, 2 says that x is 1 or 2. */
function withCommonName(items: readonly Answer[]): readonly Answer[] {
  const [first, ...rest] = items
  if (first?.kind !== 'relation' || first.relations.join() !== '=' || rest.length === 0) return items
  if (rest.some(({ kind }) => kind === 'relation') || first.sides[0]!.kind !== 'symbol') return items
  return [{ ...first, sides: [first.sides[0]!, { kind: 'set', elements: [first.sides[1]!, ...rest] }] }]
}

const closing: Record<string, string[]> = { '(': [')', ']'], '[': [')', ']'], '{': ['}'], '\\{': ['\\}'] }

/** Two ends in their order: (1,2). The other way round it is a pair: (2,1). */
function intervalOf(open: string, items: readonly Answer[], close: string): Answer | undefined {
  const [low, high] = items
  if (items.length !== 2 || !isExpression(low!) || !isExpression(high!)) return undefined
  if (!(numeric(low) < numeric(high)) && open === '(' && close === ')') return undefined
  if (!(numeric(low) < numeric(high)) && open === '[' && close === ']') return undefined
  return { kind: 'interval', low, high, lowOpen: open === '(', highOpen: close === ')' }
}

function numeric(expression: Expression): number {
  const exact = evaluateExactly(expression)
  return exact === undefined ? evaluateReal(expression) : toNumber(exact)
}
