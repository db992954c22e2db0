/** Reads what has a value: sums, products, powers, functions. By recursive descent; nothing is ever evaluated as code. */
import {
  type Answer,
  type Expression,
  type FunctionName,
  functionNames,
  integer,
  isExpression,
  negative,
  product,
  quotient,
  sum,
} from '../answer.js'
import { fromDecimal } from '../rational.js'
import { NotAnAnswer, type Reader } from './reader.js'

const greek = new Set(
  (
    'alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau phi varphi ' +
    'chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar'
  ).split(' '),
)
const functions = new Set<string>(functionNames)
const constants: Record<string, Expression> = {
  pi: { kind: 'constant', name: 'pi' },
  infty: { kind: 'constant', name: 'infinity' },
  infinity: { kind: 'constant', name: 'infinity' },
  inf: { kind: 'constant', name: 'infinity' },
  imath: { kind: 'constant', name: 'i' },
}
const half: Expression = quotient(integer(1n), integer(2n))

export class ExpressionReader {
  /** What \pm stands for now, and whether it was met. */
  sign: 1 | -1 = 1
  signMet = false
  /** Within |…|, a bar closes. */
  private bars = 0

  constructor(
    private readonly tokens: Reader,
    /** Reads what stands in brackets: it may be a set or a tuple too. */
    private readonly readBrackets: () => Answer,
  ) {}

  /** A sum; or something in brackets or a matrix that no arithmetic is done with. */
  sum(): Answer {
    return this.tokens.nested(() => {
      const first = this.signedTerm()
      if (!isExpression(first)) return first
      const terms: Expression[] = [first]
      while (this.tokens.isSymbol('+', '-') || this.tokens.isCommand('pm', 'mp'))
        terms.push(asExpression(this.signedTerm()))
      return sum(terms)
    })
  }

  private signedTerm(): Answer {
    let isNegative = false
    let hasSign = false
    for (;;) {
      const command = this.tokens.takeCommand('pm', 'mp')
      const symbol = command === undefined ? this.tokens.takeSymbol('+', '-') : undefined
      if (command === undefined && symbol === undefined) break
      hasSign = true
      if (symbol === '-') isNegative = !isNegative
      if (command !== undefined) {
        this.signMet = true
        if ((command === 'pm') === (this.sign === -1)) isNegative = !isNegative
      }
    }
    const term = this.term()
    if (!hasSign) return term
    return isNegative ? negative(asExpression(term)) : asExpression(term)
  }

  private term(): Answer {
    const first = this.factors()
    if (!isExpression(first)) return first
    let result = first
    for (;;) {
      const { tokens } = this
      if (tokens.takeSymbol('**')) {
        result = { kind: 'power', base: result, exponent: this.signedFactors() }
      } else if (tokens.takeSymbol('*') || tokens.takeCommand('cdot', 'times', 'ast')) {
        result = product([result, this.signedFactors()])
      } else if (tokens.takeSymbol('/', ':') || tokens.takeCommand('div')) {
        result = quotient(result, this.signedFactors())
      } else return result
    }
  }

  private signedFactors(): Expression {
    const isNegative = this.tokens.takeSymbol('+', '-') === '-'
    const factors = asExpression(this.factors())
    return isNegative ? negative(factors) : factors
  }

  /** Factors side by side, which bind closer than a written sign: 1/2x is 1/(2x). */
  private factors(stopAtFunctions = false): Answer {
    const start = this.tokens.peek()
    const first = this.postfix()
    if (!isExpression(first)) return first
    let factors: Expression[] = [first]
    while (this.beginsFactor(stopAtFunctions)) {
      const token = this.tokens.peek()!
      if (token.type === 'number') {
        // sin x 7 is read; 274 283 is two answers or none.
        if (factors.at(-1)!.kind === 'number') throw new NotAnAnswer()
      }
      const isMixed =
        factors.length === 1 &&
        start?.type === 'number' &&
        !start.text.includes('.') &&
        this.tokens.isCommand('frac')
      const next = asExpression(this.postfix())
      if (isMixed && factors[0]!.kind === 'number' && isNumericFraction(next))
        factors = [sum([factors[0]!, next])]
      else factors.push(next)
    }
    return product(factors)
  }

  private beginsFactor(stopAtFunctions: boolean): boolean {
    const token = this.tokens.peek()
    if (token === undefined) return false
    switch (token.type) {
      case 'number':
      case 'letter':
      case 'text':
        return true
      case 'command':
        if (functions.has(token.text)) return !stopAtFunctions
        return (
          token.text in constants ||
          greek.has(token.text) ||
          ['frac', 'sqrt', 'binom', 'lfloor', 'lceil'].includes(token.text)
        )
      case 'symbol':
        return token.text === '(' || token.text === '{' || (token.text === '|' && this.bars === 0)
    }
  }

  private postfix(): Answer {
    let value = this.atom()
    for (;;) {
      const { tokens } = this
      if (tokens.takeSymbol('^'))
        value = { kind: 'power', base: asExpression(value), exponent: this.argument() }
      else if (tokens.takeSymbol('!')) value = call('factorial', asExpression(value))
      else if (tokens.takeSymbol('%')) value = { kind: 'percent', of: asExpression(value) }
      else if (tokens.takeSymbol('_')) value = withIndex(value, tokens.takeRaw())
      else if (tokens.takeSymbol("'")) value = withIndex(value, "'")
      else return value
    }
  }

  private atom(): Answer {
    const { tokens } = this
    if (tokens.isSymbol('(', '[', '\\{', '{') || tokens.isCommand('{')) return this.readBrackets()
    if (tokens.takeSymbol('|')) return this.absolute()
    const token = tokens.next()
    switch (token.type) {
      case 'number':
        return numberOf(token.text)
      case 'letter':
        return letterOf(token.text)
      case 'text':
        return textOf(token.text)
      case 'command':
        return this.command(token.text)
      case 'symbol':
        throw new NotAnAnswer()
    }
  }

  private absolute(): Expression {
    const outer = this.bars
    this.bars = outer + 1
    const inside = asExpression(this.sum())
    this.tokens.expect('|')
    this.bars = outer
    return call('abs', inside)
  }

  private command(name: string): Answer {
    const { tokens } = this
    if (name in constants) return constants[name]!
    if (greek.has(name)) return { kind: 'symbol', name }
    if (name === 'frac') {
      const above = this.argument('digit')
      return quotient(above, this.argument('digit'))
    }
    if (name === 'binom') {
      const above = this.argument('digit')
      return { kind: 'call', name: 'binomial', parameters: [above, this.argument('digit')] }
    }
    if (name === 'sqrt') return this.root()
    if (name === 'matrix') return this.matrix()
    if (name === 'emptyset') return { kind: 'set', elements: [] }
    if (name === 'lfloor' || name === 'lceil') {
      const inside = asExpression(this.sum())
      if (!tokens.takeCommand(name === 'lfloor' ? 'rfloor' : 'rceil')) throw new NotAnAnswer()
      return call(name === 'lfloor' ? 'floor' : 'ceil', inside)
    }
    if (functions.has(name)) return this.functionOf(name as FunctionName)
    throw new NotAnAnswer()
  }

  /** Its begin was read. Rows end at \cr, which normaliseLatex makes of \\\\; entries at &. */
  private matrix(): Answer {
    const { tokens } = this
    const rows: Expression[][] = [[]]
    for (;;) {
      if (tokens.takeCommand('endmatrix')) break
      rows.at(-1)!.push(asExpression(this.sum()))
      if (tokens.takeSymbol('&')) continue
      if (tokens.takeCommand('cr') && !tokens.isCommand('endmatrix')) rows.push([])
      else if (!tokens.isCommand('endmatrix')) throw new NotAnAnswer()
    }
    return { kind: 'matrix', rows }
  }

  private root(): Expression {
    const { tokens } = this
    let degree: Expression | undefined
    if (tokens.takeSymbol('[')) {
      degree = asExpression(this.sum())
      tokens.expect(']')
    }
    const exponent = degree === undefined ? half : quotient(integer(1n), degree)
    return { kind: 'power', base: this.argument(), exponent }
  }

  private functionOf(name: FunctionName): Expression {
    const { tokens } = this
    let base: Expression | undefined
    if (name === 'log' && tokens.takeSymbol('_')) base = this.argument('digit')
    const exponent = tokens.takeSymbol('^') ? this.argument() : undefined
    const many = ['min', 'max']
    const inside = tokens.isSymbol('(', '{', '|') ? this.postfixless() : this.factors(true)
    const parameters =
      many.includes(name) && !isExpression(inside) && 'elements' in inside
        ? inside.elements.map(asExpression)
        : [asExpression(inside)]
    if (base !== undefined) parameters.push(base)
    const isInverse = exponent !== undefined && isMinusOne(exponent) && ['sin', 'cos', 'tan'].includes(name)
    if (isInverse) return { kind: 'call', name: `arc${name}` as FunctionName, parameters }
    const value: Expression = { kind: 'call', name, parameters }
    return exponent === undefined ? value : { kind: 'power', base: value, exponent }
  }

  /** sin(x)^2 is (sin x)^2: what stands behind the brackets is not of the argument. */
  private postfixless(): Answer {
    return this.tokens.takeSymbol('|') ? this.absolute() : this.readBrackets()
  }

  /** What a command or an index is given: in braces, or what stands next. */
  private argument(bare: 'digit' | 'number' = 'number'): Expression {
    const { tokens } = this
    if (tokens.isSymbol('{')) return asExpression(this.readBrackets())
    if (tokens.takeSymbol('-')) return negative(this.argument(bare))
    if (bare === 'digit' && tokens.peek()?.type === 'number') return numberOf(tokens.takeDigit())
    return asExpression(this.atom())
  }
}

export function asExpression(answer: Answer): Expression {
  if (isExpression(answer)) return answer
  throw new NotAnAnswer()
}

function call(name: FunctionName, parameter: Expression): Expression {
  return { kind: 'call', name, parameters: [parameter] }
}

function numberOf(text: string): Expression {
  const value = fromDecimal(text)
  if (value === undefined) throw new NotAnAnswer()
  return { kind: 'number', value, decimal: text.includes('.') }
}

/** Letters are not told apart by case: an answer in X is one in x. */
function letterOf(letter: string): Expression {
  if (letter === 'i') return { kind: 'constant', name: 'i' }
  if (letter === 'e') return { kind: 'constant', name: 'e' }
  return { kind: 'symbol', name: letter.toLowerCase() }
}

/** A word; or a number, as in \textbf{(113)}. */
function textOf(text: string): Expression {
  const word = wordOf(text)
  return /^\d+$/.test(word) ? numberOf(word) : { kind: 'symbol', name: word }
}

/** (C), of multiple choice, is C. */
function wordOf(text: string): string {
  const word = /^\(?([^()]*)\)?\.?$/.exec(text.trim())?.[1] ?? text
  return word.trim().toLowerCase().replaceAll(/\s+/g, ' ')
}

function withIndex(value: Answer, index: string): Expression {
  if (isExpression(value) && value.kind === 'number') return { ...value, base: index }
  if (isExpression(value) && value.kind === 'symbol')
    return { kind: 'symbol', name: `${value.name}_${index.toLowerCase()}` }
  throw new NotAnAnswer()
}

function isNumericFraction(expression: Expression): boolean {
  return (
    expression.kind === 'product' &&
    expression.factors.every(({ kind }) => kind === 'number' || kind === 'power')
  )
}

function isMinusOne(expression: Expression): boolean {
  const parts = expression.kind === 'product' ? expression.factors : []
  return (
    parts.length === 2 &&
    parts.every(part => part.kind === 'number') &&
    parts[0]!.value.numerator === -1n &&
    parts[1]!.value.numerator === 1n
  )
}
