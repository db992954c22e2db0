/** One complaint about a configuration, and how many of them become one message. */

export type Path = readonly (string | number)[]

/** Where a value was written. Lines and columns count from 1. */
export interface Position {
  source: string
  line?: number
  column?: number
  /** The text of that line, to be shown beneath the message. */
  text?: string
  /** How many characters from `column` on are at fault. */
  length?: number
}

export interface Problem {
  path: Path
  message: string
  /** The complaint is about the key at `path`, not about its value. */
  atKey?: boolean
}

/** students[0].model */
export function formatPath(path: Path): string {
  let out = ''
  for (const part of path) out += typeof part === 'number' ? `[${part}]` : out ? `.${part}` : part
  return out
}

/** A value as it would be typed, shortened to fit a line. */
export function formatValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'number') return String(value) // JSON has no NaN and no infinities
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  if (value !== null && typeof value === 'object') {
    const keys = Object.keys(value)
    return keys.length === 0
      ? 'an empty mapping'
      : `a mapping with ${keys.slice(0, 4).join(', ')}${keys.length > 4 ? ', …' : ''}`
  }
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 59)}…"` : text
}

/**
 * `file:line:column: path: message`, with the line itself and a marker beneath it.
 */
export function formatProblem({ path, message }: Problem, position: Position | undefined): string {
  const place = [position?.source, position?.line, position?.column]
    .filter(part => part !== undefined)
    .join(':')
  const head = [place, formatPath(path), message].filter(Boolean).join(': ')
  if (position?.text === undefined || position.line === undefined) return head
  const gutter = `  ${position.line} | `
  const column = position.column ?? 1
  const length = Math.max(1, Math.min(position.length ?? 1, position.text.length - column + 1))
  return `${head}\n${gutter}${position.text}\n${' '.repeat(gutter.length - 2)}| ${' '.repeat(column - 1)}${'^'.repeat(length)}`
}
