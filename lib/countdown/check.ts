/** Whether a text solves a countdown problem. */
import type { Grade } from '../grading/index.js'
import { NotACalculation, numbersIn, parseCalculation, valueOfCalculation } from './expression.js'

export interface CountdownCheck {
  correct: boolean
  /** Why not. */
  reason?: string
}

/**
 * Whether a calculation uses each number exactly once and comes to the target, exactly: 1/3*3 is 1.
 * @param calculation such as `(1 + 2) * 3`, or `(1 + 2) * 3 = 9`, whose right side must then be the target
 */
export function checkCountdown(
  calculation: string,
  numbers: readonly number[],
  target: number,
): CountdownCheck {
  const wrong = (reason: string) => ({ correct: false, reason })
  const [left = '', right, ...more] = calculation.split('=')
  if (more.length > 0) return wrong('there is more than one equals sign')
  try {
    const parsed = parseCalculation(left)
    const used = numbersIn(parsed)
    if (sorted(used) !== sorted(numbers))
      return wrong(`it uses ${used.join(', ')}; given are ${numbers.join(', ')}`)
    const value = valueOfCalculation(parsed)
    if (value === undefined) return wrong('it divides by zero')
    const { numerator, denominator } = value
    if (denominator !== 1n || numerator !== BigInt(target))
      return wrong(`it comes to ${numerator}${denominator === 1n ? '' : `/${denominator}`}, not ${target}`)
    if (right !== undefined && right.trim() !== String(target))
      return wrong(`its right side is not ${target}`)
    return { correct: true }
  } catch (error) {
    if (error instanceof NotACalculation) return wrong(`it is no calculation: ${error.message}`)
    throw error
  }
}

/**
 * The calculation that a text comes to: what stands in the last `<answer>` or box, else the last calculation behind
 * "answer", else the last line that is one.
 * @returns null if there is none
 */
export function extractCalculation(whole: string): string | null {
  const text = whole.slice(-20_000)
  const tagged = /<answer>([^<]{1,600})<\/answer>(?![\s\S]*<answer>)/.exec(text)?.[1]
  if (tagged !== undefined) return withoutBox(tagged.trim())
  const box = lastBox(text)
  if (box !== undefined) return box
  const lines = text.split('\n').reverse().slice(0, 200)
  for (const line of lines) {
    const found = /(?:answer|solution)[^:\n]{0,40}?(?:\bis\b\s*:?|:)\s*(.{1,600})$/i.exec(line)?.[1] ?? line
    const calculation = found
      .replaceAll(/[$`*]{2,}|[$`]/g, '')
      .trim()
      .replace(/\.$/, '')
    if (calculation.length <= 600 && isCalculation(calculation.split('=')[0]!)) return calculation
  }
  return null
}

/** The same as {@link checkCountdown}, of a whole text. */
export function gradeCountdown(text: string, numbers: readonly number[], target: number): Grade {
  const extracted = extractCalculation(text)
  return { correct: extracted !== null && checkCountdown(extracted, numbers, target).correct, extracted }
}

function isCalculation(text: string): boolean {
  try {
    return parseCalculation(text).kind === 'operation'
  } catch (error) {
    if (error instanceof NotACalculation) return false
    throw error
  }
}

function withoutBox(text: string): string {
  return lastBox(text) ?? text
}

function lastBox(text: string): string | undefined {
  const at = text.lastIndexOf('\\boxed{')
  if (at < 0) return undefined
  const open = at + '\\boxed'.length
  let depth = 0
  for (let i = open; i < Math.min(text.length, open + 600); i++) {
    if (text[i] === '{') depth++
    else if (text[i] === '}' && --depth === 0) return text.slice(open + 1, i).trim()
  }
  return undefined
}

const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b).join(' ')
