/**
 * A configuration from where users write it: a preset by name or a YAML file, and `--set path=value` over it.
 */
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { ConfigurationError, UsageError } from '../errors.js'
import { packageRoot } from '../packageRoot.js'
import type { ConfigKind } from './kinds/kind.js'
import { absolutePaths, isMapping, type Layer, overlay, readLayer, readSet, setAt } from './layers.js'
import { formatProblem, type Path, type Position, type Problem } from './problem.js'
import { nearest } from './suggest.js'
import { validate } from './validate.js'

export interface LoadedConfig<T> {
  config: T
  /** What the values came from, lowest first: `preset quickstart`, a file, each `--set`. */
  sources: string[]
}

/**
 * @param source a preset's name, or the path of a YAML file; a file may begin with `preset: NAME`. Undefined if `sets`
 *   say everything
 * @param sets `path.to.option=value`, applied in order
 * @throws {UsageError} no such preset or file
 * @throws {ConfigurationError} with every problem of the configuration, each with file, line and column
 */
export async function loadConfig<T>(
  kind: ConfigKind<T>,
  source: string | undefined,
  sets: readonly string[] = [],
  cwd = process.cwd(),
): Promise<LoadedConfig<T>> {
  const layers: Layer[] = []
  const problems: [Problem, Position | undefined][] = []
  let value: unknown = source === undefined ? {} : undefined

  const addFile = async (file: string, label: string, folder = dirname(file)) => {
    const { layer, problems: syntax } = readLayer(label, await readText(file))
    problems.push(...syntax)
    const { preset, ...own } = isMapping(layer.value) ? layer.value : {}
    if (typeof preset === 'string') await addPreset(preset, layer.locate(['preset']))
    else if (preset !== undefined)
      problems.push([
        { path: ['preset'], message: 'expected the name of a preset' },
        layer.locate(['preset']),
      ])
    layers.push(layer)
    if (isMapping(layer.value)) value = overlay(value, absolutePaths(own, folder))
    else if (syntax.length === 0)
      problems.push([{ path: [], message: 'expected a mapping of options' }, layer.locate([])])
  }
  const addPreset = async (name: string, position?: Position) => {
    const names = await presetNames(kind)
    if (names.includes(name)) return addFile(presetFile(kind, name), `preset ${name}`, packageRoot())
    const meant = nearest(name, names)
    const known = names.length > 0 ? `expected one of ${names.join(', ')}` : `rlt ${kind.name} has none`
    const message = `there is no preset ${name}; ${meant ? `did you mean ${meant}?` : known}`
    if (!position)
      throw new UsageError(`${message}\nA configuration file is named by its path, such as ./${name}.yaml.`)
    problems.push([{ path: ['preset'], message }, position])
  }

  if (source !== undefined)
    await (looksLikeFile(source) ? addFile(resolve(cwd, source), source) : addPreset(source))

  for (const argument of sets) {
    const { layer, path, problems: syntax } = readSet(argument)
    problems.push(...syntax)
    if (syntax.length > 0) continue
    const changed = setAt(value, path, layer.value)
    if ('problem' in changed) {
      problems.push([changed.problem, { source: layer.source }])
    } else {
      layers.push(layer)
      value = changed.value
    }
  }
  value = absolutePaths(value, cwd)

  // A text that is not YAML has no values to judge.
  const result = problems.length === 0 || isMapping(value) ? validate(kind, value) : { problems: [] }
  if ('problems' in result) problems.push(...result.problems.map(problem => locate(problem, layers)))
  if (problems.length > 0 || !('config' in result)) throw configurationError(problems)
  return { config: result.config, sources: layers.map(layer => layer.source) }
}

/** A configuration from a plain object, for callers in Node; paths are relative to the working directory. */
export function parseConfig<T>(kind: ConfigKind<T>, value: unknown): T {
  const result = validate(kind, absolutePaths(value, process.cwd()))
  if ('config' in result) return result.config
  throw configurationError(result.problems.map(problem => [problem, undefined]))
}

/** YAML that loads again to the same configuration, every option written out. */
export function formatConfig(config: object): string {
  return stringify(config, { lineWidth: 0, aliasDuplicateObjects: false })
}

export async function presetNames(kind: { name: string }): Promise<string[]> {
  // Not every stage has presets.
  const files = await readdir(presetFolder(kind)).catch(() => [])
  return files
    .filter(file => file.endsWith('.yaml'))
    .map(file => file.slice(0, -'.yaml'.length))
    .sort()
}

/** What a preset says, for a configuration that is not a file of its own; undefined if there is none of that name. */
export async function presetValue(kind: { name: string }, preset: string): Promise<unknown> {
  if (!(await presetNames(kind)).includes(preset)) return undefined
  const { layer } = readLayer(`preset ${preset}`, await readText(presetFile(kind, preset)))
  return absolutePaths(layer.value, packageRoot())
}

const presetFolder = ({ name }: { name: string }) => join(packageRoot(), 'lib', 'config', 'presets', name)
const presetFile = (kind: { name: string }, name: string) => join(presetFolder(kind), `${name}.yaml`)
const looksLikeFile = (source: string) => /\.(ya?ml|json)$|[/\\]/.test(source)

export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const reason =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'this is a folder'
          : (error as Error).message
    throw new UsageError(`The configuration cannot be read: ${file}: ${reason}`, { cause: error })
  }
}

/** Where the value at fault was written: the uppermost layer that holds it, else the nearest thing around it. */
export function locate(problem: Problem, layers: readonly Layer[]): [Problem, Position | undefined] {
  for (let depth = problem.path.length; depth >= 0; depth--) {
    const path: Path = problem.path.slice(0, depth)
    const missing = depth < problem.path.length
    const atKey = problem.atKey === true || missing
    for (const layer of [...layers].reverse()) {
      // What is missing is missing from a file; that a --set is near it says nothing.
      if (missing && layer.kind === 'set') continue
      const position = layer.locate(path, atKey)
      if (position) return [problem, position]
    }
  }
  return [problem, undefined]
}

export function configurationError(problems: readonly [Problem, Position | undefined][]): ConfigurationError {
  const head =
    problems.length === 1
      ? 'The configuration has a problem:'
      : `The configuration has ${problems.length} problems:`
  return new ConfigurationError(
    [head, ...problems.map(([problem, position]) => formatProblem(problem, position))].join('\n'),
  )
}
