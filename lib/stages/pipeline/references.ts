/** `${stages.NAME.OUTPUT}` in a configuration: found and replaced as text. Nothing is evaluated. */
import type { Path } from '../../config/problem.js'

export interface Reference {
  /** Where it stands in the configuration of its stage. */
  path: Path
  /** As it is written. */
  text: string
  /** Undefined where the text is no reference that could be followed. */
  target: { stage: string; output: string } | undefined
}

const anything = /\$\{([^{}]*)\}/g
const toOutput = /^stages\.([\w-]+)\.([\w-]+)$/

export function referencesIn(value: unknown, path: Path = []): Reference[] {
  if (typeof value === 'string')
    return [...value.matchAll(anything)].map(([text, inner]) => {
      const [, stage, output] = toOutput.exec(inner!.trim()) ?? []
      return { path, text, target: stage && output ? { stage, output } : undefined }
    })
  if (value === null || typeof value !== 'object') return []
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value)
  return entries.flatMap(([key, part]) => referencesIn(part, [...path, key]))
}

/** A copy in which every text has its references replaced. */
export function replaceReferences(value: unknown, by: (target: { stage: string; output: string }) => string) {
  return mapTexts(value, text =>
    text.replaceAll(anything, (whole, inner: string) => {
      const [, stage, output] = toOutput.exec(inner.trim()) ?? []
      return stage && output ? by({ stage, output }) : whole
    }),
  )
}

/** A copy in which every text is what `change` makes of it. */
export function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map(part => mapTexts(part, change))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, mapTexts(part, change)]))
}
