/**
 * Finds the answer in a text, as math-verify does (its parser.py): behind "final answer is" or in a box, else behind
 * "answer:", else behind "answer", else the last formula or number. Of several of one kind, the last. A number behind
 * "####" (GSM8K) counts as boxed.
 */

/** Where in the text an answer may stand, and what it says, as LaTeX. */
interface Found {
  start: number
  end: number
  latex: string
}

/** Only the end of a longer text is looked at. */
const longestText = 50_000
const longestFormula = 2_000

/** @returns what may be the answer, the likeliest first */
export function findAnswers(whole: string): string[] {
  const text = whole.slice(-longestText)
  const boxes = boxedAnswers(text)
  const formulas = formulasIn(text)
  const numbers = numbersIn(text, formulas)
  const all = [...formulas, ...numbers]
  const groups = [
    [...behind(text, /final answer\b[\s\S]{0,100}?\bis:?\s*/gi, all, 0), ...boxes, ...hashAnswers(text)],
    behind(text, /answer:/gi, all, 50),
    behind(text, /answer/gi, all, 50),
    all,
  ]
  const byEnd = (a: Found, b: Found) => b.end - a.end || a.start - b.start
  return groups.flatMap(group => group.sort(byEnd).map(({ latex }) => latex))
}

/** The nearest formula or number that begins within so many characters behind each match. */
function behind(text: string, pattern: RegExp, all: readonly Found[], distance: number): Found[] {
  const found: Found[] = []
  for (const match of text.matchAll(pattern)) {
    const from = match.index + match[0].length
    const near = all.filter(({ start }) => start >= from && start <= from + distance + 3)
    const first = near.sort((a, b) => a.start - b.start)[0]
    if (first === undefined) continue
    // Of "4 + 5 = 9", what stands behind the last equals sign.
    const after = all.filter(({ start }) => start > first.start && start <= from + 100)
    const last = after.findLast(({ start }) => /=\s*$/.test(text.slice(first.end, start)))
    found.push(last ?? first)
  }
  return found
}

function hashAnswers(text: string): Found[] {
  return [...text.matchAll(/####\s*([^\n]{1,200})/g)].map(({ index, 0: whole, 1: answer }) => {
    const number = numbersIn(answer!, [])[0]
    return { start: index, end: index + whole.length, latex: number?.latex ?? answer! }
  })
}

/** \boxed{…} and \fbox{…}, with braces in them; several that belong together are one. */
function boxedAnswers(text: string): Found[] {
  const boxes: Found[] = []
  for (const match of text.matchAll(/\\(?:boxed|fbox|framebox)\s*/g)) {
    const open = match.index + match[0].length
    if (text[open] !== '{') {
      const bare = /^[^\s$\\{}]+/.exec(text.slice(open, open + 100))?.[0]
      if (bare !== undefined) boxes.push({ start: match.index, end: open + bare.length, latex: bare })
      continue
    }
    const close = closingBrace(text, open)
    const inside = text.slice(open + 1, close)
    if (close - open <= longestFormula) boxes.push({ start: match.index, end: close + 1, latex: inside })
  }
  return joined(boxes, text)
}

/** The end of the text where the brace is never closed. */
function closingBrace(text: string, open: number): number {
  let depth = 0
  for (let i = open; i < Math.min(text.length, open + longestFormula + 1); i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '{') depth++
    else if (text[i] === '}' && --depth === 0) return i
  }
  return text.length
}

/** The last box, with those before it that are near: \boxed{1} and \boxed{2}. */
function joined(boxes: readonly Found[], text: string): Found[] {
  const last = boxes.at(-1)
  if (last === undefined) return []
  const together = [last]
  for (const box of boxes.slice(0, -1).reverse()) {
    const between = text.slice(box.end, together[0]!.start)
    const near =
      between.length < 10 ||
      (between.length < 70 && /\b(and|or)\b|,|;/.test(between) && box.latex !== together[0]!.latex)
    if (!near) break
    together.unshift(box)
  }
  const unique = together.filter(({ latex }, i) => i === 0 || latex !== together[i - 1]!.latex)
  const answers = [
    { start: together[0]!.start, end: last.end, latex: unique.map(({ latex }) => latex).join(',') },
  ]
  return unique.length > 1 ? [...answers, last] : answers
}

const formula =
  /(?<!\\)\$\$(?<a>(?:[^$]|\\\$){1,2000}?)(?<!\\)\$\$|(?<!\\)\\\[(?<b>[\s\S]{1,2000}?)(?<!\\)\\\]|(?<![\\\d])\$(?<c>(?:\\\$|[^\n$]){1,2000}?)(?<!\\)\$|(?<!\\)\\\((?<d>[^\n]{1,2000}?)(?<!\\)\\\)|(?<e>-?\\frac\{-?\d+(?:\.\d+)?\}\{-?\d+(?:\.\d+)?\})/g

/** Formulas between dollars or brackets. Several with only "and", "or" or commas between them are one list. */
function formulasIn(text: string): Found[] {
  const found: Found[] = []
  for (const match of text.matchAll(formula)) {
    const latex = Object.values(match.groups!).find(group => group !== undefined)!
    const percent = /^\s*(?:\\?%|percent\b|pct\b)/i.exec(text.slice(match.index + match[0].length))?.[0] ?? ''
    const [start, end] = [match.index, match.index + match[0].length + percent.length]
    const one = { start, end, latex: percent === '' ? latex : `${latex}%` }
    const before = found.at(-1)
    if (before !== undefined && /^\s*(?:,?\s*and|,?\s*or|,)\s*$/.test(text.slice(before.end, start)))
      found[found.length - 1] = { start: before.start, end, latex: `${before.latex}, ${one.latex}` }
    else found.push(one)
  }
  return found
}

const currency = '$€£¥₹'
const number = String.raw`-?[1-9]\d{0,2}(?:[ ,]\d{3})+(?![\d])(?:\.\d+)?|-?\d+[.,]\d+|-?\.\d+|-?\d+`
const calculation = String.raw`-?\(?-?\d[\d.\s+\-*×/÷^()]*[+\-*×/÷^)][\d.\s+\-*×/÷^()]*\d\)?`
const plain = new RegExp(
  String.raw`(?:(?<=^|[\s=])|(?<=\*\*))[${currency}]?(?:(?<calculation>${calculation})(?=(?:\*\*)?(?:[.,:;)\s$]|$))|` +
    String.raw`(?<number>${number})(?<percent>\s*(?:%|percent\b|pct\b))?)|(?<=\()[${currency}]?(?<bracketed>${number})(?=\))`,
  'gi',
)

/** Numbers and calculations that stand in the text itself. */
function numbersIn(text: string, formulas: readonly Found[]): Found[] {
  const found: Found[] = []
  let next = 0
  for (const match of text.matchAll(plain)) {
    const [start, end] = [match.index, match.index + match[0].length]
    while (next < formulas.length && formulas[next]!.end <= start) next++
    if (next < formulas.length && formulas[next]!.start < end) continue
    const { calculation, number, percent, bracketed } = match.groups!
    if (calculation !== undefined && calculation.length <= longestFormula) {
      found.push({ start, end, latex: calculation })
      continue
    }
    const latex = plainNumber(number ?? bracketed ?? '0')
    found.push({ start, end, latex: percent === undefined ? latex : `${latex}%` })
  }
  return found
}

/** Without separators of thousands; a comma before fewer or more than three digits is a decimal one. */
function plainNumber(text: string): string {
  return /^-?[1-9]\d{0,2}(?:[ ,]\d{3})+(?:\.\d+)?$/.test(text)
    ? text.replaceAll(/[ ,]/g, '')
    : text.replace(',', '.')
}

const letter = String.raw`\(?\*{0,2}\(?([A-Z])\)?\*{0,2}\)?(?![A-Za-z])`
const choicePatterns = [
  /\\boxed\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\{)?\s*\(?([A-Z])\)?[^A-Za-z]/g,
  new RegExp(
    String.raw`(?:final answer|correct answer|answer|correct (?:option|choice))\b[^.\n]{0,50}?\b(?:is|:)\s*(?:option|choice)?\s*:?\s*${letter}`,
    'gi',
  ),
  new RegExp(String.raw`answer\W{0,10}${letter}`, 'gi'),
  new RegExp(String.raw`(?:^|\s)${letter}(?=[.,:)\s]|$)`, 'g'),
]

/**
 * The letter of the choice that a text ends up with.
 * @param letters those that there are, such as ABCD
 */
export function findChoice(whole: string, letters: string): string | undefined {
  const text = whole.slice(-longestText)
  for (const pattern of choicePatterns) {
    const found = [...text.matchAll(pattern)].map(match => match[1]!).filter(found => letters.includes(found))
    if (found.length > 0) return found.at(-1)
  }
  return undefined
}

/** What stands behind the thoughts of a model that thinks before it answers; all of the text where there is nothing. */
export function answerPart(text: string): string {
  const ends = ['</think>', '<|end_of_thought|>'].map(tag => {
    const at = text.lastIndexOf(tag)
    return at < 0 ? -1 : at + tag.length
  })
  const rest = text.slice(Math.max(0, ...ends))
  return rest.trim() === '' ? text : rest
}
