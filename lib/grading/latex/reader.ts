import type { Token } from './tokens.js'

/** The text is not an answer that can be read. */
export class NotAnAnswer extends Error {}

/** Deeper answers are refused, before the stack is full. */
const deepest = 60

/** Tokens, one after the other. */
export class Reader {
  private position = 0
  private depth = 0

  constructor(private readonly tokens: readonly Token[]) {}

  get mark(): number {
    return this.position
  }

  backTo(mark: number): void {
    this.position = mark
  }

  get done(): boolean {
    return this.position >= this.tokens.length
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.position + ahead]
  }

  next(): Token {
    const token = this.tokens[this.position++]
    if (token === undefined) throw new NotAnAnswer()
    return token
  }

  isSymbol(...texts: string[]): boolean {
    const token = this.peek()
    return token?.type === 'symbol' && texts.includes(token.text)
  }

  isCommand(...names: string[]): boolean {
    const token = this.peek()
    return token?.type === 'command' && names.includes(token.text)
  }

  takeSymbol(...texts: string[]): string | undefined {
    return this.isSymbol(...texts) ? this.next().text : undefined
  }

  takeCommand(...names: string[]): string | undefined {
    return this.isCommand(...names) ? this.next().text : undefined
  }

  expect(...texts: string[]): string {
    const taken = this.takeSymbol(...texts)
    if (taken === undefined) throw new NotAnAnswer()
    return taken
  }

  /** TeX takes one digit where there are no braces: \frac12. */
  takeDigit(): string {
    const token = this.next()
    if (token.type !== 'number') throw new NotAnAnswer()
    const rest = token.text.slice(1)
    if (rest === '') return token.text
    this.position--
    ;(this.tokens as Token[])[this.position] = { type: 'number', text: rest }
    return token.text[0]!
  }

  /** Of tokens up to the closing brace, as they stand. */
  takeRaw(): string {
    let text = ''
    if (!this.takeSymbol('{')) return this.next().text
    while (!this.takeSymbol('}')) text += this.next().text
    return text
  }

  nested<T>(read: () => T): T {
    if (++this.depth > deepest) throw new NotAnAnswer()
    try {
      return read()
    } finally {
      this.depth--
    }
  }
}
