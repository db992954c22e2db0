/** The configuration of a run that is gone on with: its own, in which only what leaves the past as it was can change. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigurationError, UsageError } from '../errors.js'
import type { RunKind } from './kinds/kind.js'
import { loadConfig } from './load.js'
import { formatValue } from './problem.js'
import { valueAt } from './validate.js'

/**
 * @param folder the run folder; it may have been moved since the run was started
 * @throws {UsageError} there is no run
 * @throws {ConfigurationError} `sets` would make the rest of the run another one
 */
export async function loadRunConfig<Config extends { output: { folder: string } }>(
  kind: RunKind<Config>,
  folder: string,
  sets: readonly string[] = [],
): Promise<Config> {
  const file = join(folder, 'config.yaml')
  const found = await stat(file).catch(() => undefined)
  if (!found) throw new UsageError(`--resume: ${folder} is not a run folder: there is no config.yaml in it`)
  const { config: started } = await loadConfig(kind, file)
  const { config } = await loadConfig(kind, file, sets)
  const changed = differences(started, config).filter(path => !kind.changeable.includes(path))
  if (changed.length > 0) {
    const was = changed.map(
      path => `  ${path}: it was started with ${formatValue(valueAt(started, path.split('.')))}`,
    )
    throw new ConfigurationError(
      `A run that is gone on with keeps its configuration:\n${was.join('\n')}\n` +
        `What can change is ${kind.changeable.join(', ')}. For anything else, start a new run.`,
    )
  }
  return { ...config, output: { ...config.output, folder } }
}

/** Paths at which two configurations differ; a list counts as one value. */
function differences(a: unknown, b: unknown, path = ''): string[] {
  const mappings = [a, b].every(value => value !== null && typeof value === 'object' && !Array.isArray(value))
  if (!mappings) return JSON.stringify(a) === JSON.stringify(b) ? [] : [path]
  const keys = new Set([...Object.keys(a as object), ...Object.keys(b as object)])
  return [...keys].flatMap(key =>
    differences(valueAt(a, [key]), valueAt(b, [key]), path ? `${path}.${key}` : key),
  )
}
