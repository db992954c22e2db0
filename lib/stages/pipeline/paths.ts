/** Values of a configuration by paths in which `[]` stands for every entry of a list: `students[].model`. */
import type { Path } from '../../config/problem.js'

export function placesOf(config: object, patterns: readonly string[]): { path: Path; value: string }[] {
  return patterns.flatMap(pattern => {
    const parts = pattern.replaceAll('[]', '.[]').split('.')
    return follow(config, parts, []).filter((place): place is { path: Path; value: string } => {
      return typeof place.value === 'string'
    })
  })
}

function follow(value: unknown, parts: readonly string[], path: Path): { path: Path; value: unknown }[] {
  const [part, ...rest] = parts
  if (part === undefined) return [{ path, value }]
  if (part === '[]')
    return Array.isArray(value) ? value.flatMap((entry, i) => follow(entry, rest, [...path, i])) : []
  if (value === null || typeof value !== 'object') return []
  return follow((value as Record<string, unknown>)[part], rest, [...path, part])
}
