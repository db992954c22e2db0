/** The many ways to write the same LaTeX, made one. */

/** A text longer than this is no answer. */
export const longestAnswer = 2000

/** Alternately a pattern and what takes its place, in this order. */
const replacements: readonly (readonly [RegExp, string])[] = [
  [/\\(?:left|right|m?left|bigg?|Bigg?)(?=[\\()[\]{}|<>./]|\b)\.?/g, ' '],
  [
    /\\(?:displaystyle|textstyle|limits|nolimits|boldsymbol|mathsf|,|;|:|!|>|quad|qquad|hspace\{[^{}]*\})/g,
    ' ',
  ],
  [/\\(?:dfrac|tfrac|cfrac)\b|\\(?:dfrac|tfrac|cfrac)(?=\d)/g, '\\frac'],
  [/\\(?:d|t)binom/g, '\\binom'],
  [/\\(?:text(?:bf|it|rm|normal|tt|sf)|mbox|hbox|mathrm|mathbf|mathit|operatorname|rm)\b\*?/g, '\\text'],
  [/\\text\s*\{\s*\}/g, ' '],
  [/\\(?:lvert|rvert|vert)\b/g, '|'],
  [/\\(?:leq|leqslant|le)(?![a-z])|≤/g, '\\le '],
  [/\\(?:geq|geqslant|ge)(?![a-z])|≥/g, '\\ge '],
  [/\\(?:neq|ne)(?![a-z])|≠/g, '\\ne '],
  [/\\lt(?![a-z])/g, '<'],
  [/\\gt(?![a-z])/g, '>'],
  [/[−–]/g, '-'],
  [/×|⋅|·|∗/g, '*'],
  [/÷/g, '/'],
  [/π/g, '\\pi '],
  [/∞/g, '\\infty '],
  [/√/g, '\\sqrt '],
  [/∪/g, '\\cup '],
  [/∈/g, '\\in '],
  [/∅|\\varnothing/g, '\\emptyset '],
  [/±/g, '\\pm '],
  [/(?:\^\s*(?:\\circ\b|\{\s*\\circ\s*\})|°|\\degree\b)/g, ' '],
  [/\{\s*,\s*\}/g, ','],
  [/\\%|\\text\s*\{\s*(?:percent|pct|percentage)\s*\}|\s*\b(?:percent|percentage|pct)\b/g, '%'],
  [/\\\$|\$|€|£|¥|₹/g, ' '],
  [/\\text\s*\{\s*(?:and|or)\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])/g, ','],
  [/(?:\\ldots|\\dots|\\cdots|\.\.\.|…)/g, ' '],
  [/\\text\s*\{\s*i\s*\}/g, 'i'],
  [/~/g, ' '],
  [/\\ /g, ' '],
  [/\n|\t/g, ' '],
]

/** Units that stand behind a number without \text; longest first. */
const units = [
  ...[
    'square feet',
    'square units',
    'square inches',
    'square meters',
    'degrees',
    'degree',
    'dollars',
    'dollar',
    'cents',
    'cent',
  ],
  ...[
    'hours',
    'hour',
    'minutes',
    'minute',
    'seconds',
    'second',
    'days',
    'day',
    'weeks',
    'months',
    'month',
    'years',
    'year',
  ],
  ...[
    'miles',
    'mile',
    'meters',
    'meter',
    'metres',
    'metre',
    'inches',
    'inch',
    'feet',
    'foot',
    'yards',
    'yard',
    'units',
    'unit',
  ],
  ...[
    'pounds',
    'pound',
    'liters',
    'liter',
    'litres',
    'gallons',
    'gallon',
    'points',
    'students',
    'people',
    'apples',
    'coins',
  ],
  ...['mph', 'km', 'cm', 'mm', 'kg', 'gm', 'ft', 'lb', 'min', 'sec', 'hr', 'mi'],
]
const unitAtEnd = new RegExp(`([\\d}\\s)])\\s*(?:${units.join('|')})\\s*(?:\\^\\s*\\{?[23]\\}?)?\\s*$`)
const textAtEnd = /\\text\s*\{[^{}]*\}\s*(?:\^\s*\d|\^\s*\{\d\})?\s*$/

export function normaliseLatex(text: string): string {
  let answer = withMatrices(text.replaceAll(/\\!\s*/g, ''))
  // The thin space and the tie between groups of digits.
  answer = answer.replaceAll(/(?<=\d)(?:\\,|\\ |~)(?=\d{3}(?!\d))/g, '')
  for (const [pattern, replacement] of replacements) answer = answer.replaceAll(pattern, replacement)
  answer = answer
    .trim()
    .replace(/(?<!\.)\.$/, '')
    .trim()
  for (const pattern of [textAtEnd, unitAtEnd, textAtEnd, unitAtEnd]) answer = withoutUnit(answer, pattern)
  return answer.replaceAll(/\s+/g, ' ').trim()
}

const beginMatrix = /\\begin\{(?:[pbvBV]?matrix|array)\}(?:\s*\{[^{}]*\})?/g
const endMatrix = /\\end\{(?:[pbvBV]?matrix|array)\}/g

/** Outside of a matrix, a doubled backslash is one that was escaped once too often, or ends a line. */
function withMatrices(text: string): string {
  if (text.search(beginMatrix) < 0) return text.replaceAll(/\\\\(?=[a-zA-Z])/g, '\\').replaceAll('\\\\', ' ')
  return text
    .replaceAll(beginMatrix, ' \\matrix ')
    .replaceAll(endMatrix, ' \\endmatrix ')
    .replaceAll('\\\\', ' \\cr ')
}

/** What is left must be something: `\text{east}` is no unit. */
function withoutUnit(answer: string, pattern: RegExp): string {
  const rest = answer.replace(pattern, '$1').replace(/\$1$/, '').trim()
  return rest === '' || /[=,+\-*/^_(<>]$/.test(rest) ? answer : rest
}
