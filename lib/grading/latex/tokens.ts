/** LaTeX as a list of tokens. */
import { functionNames } from '../answer.js'

export type Token =
  | { type: 'number'; text: string }
  | { type: 'letter'; text: string }
  /** \name, without the backslash; also a plain word that is the name of a function. */
  | { type: 'command'; text: string }
  /** What stands in \text{…}. */
  | { type: 'text'; text: string }
  | { type: 'symbol'; text: string }

const grouped = String.raw`\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?`
const pattern = new RegExp(
  String.raw`\s*(?:(?<text>\\text\s*\{[^{}]*\})|(?<escaped>\\[{}\\|])|(?<command>\\[a-zA-Z]+)|` +
    String.raw`(?<grouped>(?<![\d.])${grouped})|(?<number>\d+\.\d+|\.\d+|\d+)|` +
    String.raw`(?<word>[a-zA-Z]+)|(?<operator>\*\*|<=|>=|!=|[-+*/:^_=<>!%|()[\]{},;&'])|(?<other>\S))`,
  'y',
)
const words = new Set<string>([...functionNames, 'sqrt', 'pi', 'inf', 'infinity', 'infty'])

/** @returns undefined where there is something that no answer contains */
export function tokenise(latex: string): Token[] | undefined {
  const tokens: Token[] = []
  let depth = 0
  pattern.lastIndex = 0
  const end = latex.trimEnd().length
  while (pattern.lastIndex < end) {
    const groups = pattern.exec(latex)?.groups
    if (groups === undefined || groups.other !== undefined) return undefined
    const { text, escaped, command, number, word, operator } = groups
    if (text !== undefined) tokens.push({ type: 'text', text: text.slice(text.indexOf('{') + 1, -1).trim() })
    else if (escaped !== undefined) tokens.push({ type: 'symbol', text: escaped })
    else if (command !== undefined) tokens.push({ type: 'command', text: command.slice(1) })
    else if (groups.grouped !== undefined) tokens.push(...groupedNumber(groups.grouped, depth > 0))
    else if (number !== undefined) tokens.push({ type: 'number', text: number })
    else if (word !== undefined) tokens.push(...wordTokens(word))
    else tokens.push({ type: 'symbol', text: operator! })
    const last = tokens.at(-1)!
    if (last.type === 'symbol' && ['(', '[', '\\{'].includes(last.text)) depth++
    if (last.type === 'symbol' && [')', ']', '\\}'].includes(last.text)) depth--
  }
  return tokens
}

/** 1,234 is a number; in brackets, (100,200) are two. */
function groupedNumber(text: string, inBrackets: boolean): Token[] {
  if (!inBrackets) return [{ type: 'number', text: text.replaceAll(',', '') }]
  return text
    .split(',')
    .flatMap((part, i): Token[] => [
      ...(i > 0 ? [{ type: 'symbol', text: ',' } as const] : []),
      { type: 'number', text: part },
    ])
}

function wordTokens(word: string): Token[] {
  if (words.has(word)) return [{ type: 'command', text: word }]
  return [...word].map(text => ({ type: 'letter', text }))
}
