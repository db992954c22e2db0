/** Of what a stage's output is a function: its configuration, what its inputs hold, the stages before it, the program. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isAbsolute, join, sep } from 'node:path'
import { isMapping } from '../../config/layers.js'
import { formatPath, formatValue, type Path } from '../../config/problem.js'
import { packageRoot } from '../../packageRoot.js'
import type { Pipeline, PlannedStage } from './configuration.js'
import type { Fingerprints } from './fingerprints.js'
import { placesOf } from './paths.js'
import { mapTexts } from './references.js'

export interface StageContent {
  /** Version of the program. */
  program: string
  stage: string
  /** Without what only decides how fast it is computed; the pipeline's folder is $FOLDER, so that it can be moved. */
  config: unknown
  /** Hashes of the inputs that are files, by the path of the option that names them. */
  inputs: Record<string, string>
  /** Identities of the stages before it. */
  needs: Record<string, string>
}

/** None of these decides what is computed. */
const immaterial = [
  ...['device', 'threads', 'tokenBudget', 'training.tokenBudget', 'training.checkpointing'],
  ...['training.memoryBudget', 'training.keepCheckpoints'],
]

export async function contentOf(
  { kind, config, definition, needs }: PlannedStage,
  { folder }: Pipeline,
  identities: ReadonlyMap<string, string>,
  files: Fingerprints,
  signal?: AbortSignal,
): Promise<StageContent> {
  const inputs: StageContent['inputs'] = {}
  const material = structuredClone(config)
  for (const path of immaterial) remove(material, path.split('.'))
  for (const { path, value } of placesOf(config, definition.inputs)) {
    if (value.startsWith(folder + sep)) continue // of a stage before it, whose identity says what it holds
    const hash = await files.of(value, signal)
    if (hash === undefined) continue // a name to be found elsewhere, on a hub
    inputs[formatPath(path)] = hash
    // The same file elsewhere is the same input.
    if (isAbsolute(value)) remove(material, path)
  }
  return {
    ...{ program: programVersion(), stage: kind, inputs },
    config: mapTexts(material, text => text.replaceAll(folder, '$FOLDER')),
    needs: Object.fromEntries(needs.map(name => [name, identities.get(name)!])),
  }
}

export function identityOf(content: StageContent): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex')
}

/** In words what makes `now` another than `before`. */
export function changesOf(before: StageContent, now: StageContent): string {
  const changes: string[] = []
  if (before.program !== now.program) changes.push(`rlt ${before.program} is now ${now.program}`)
  if (before.stage !== now.stage) changes.push(`it was ${before.stage}`)
  for (const { path, was, is } of differences(before.config, now.config))
    changes.push(`${formatPath(path)} was ${formatValue(was)}, is ${formatValue(is)}`)
  for (const option of union(before.inputs, now.inputs))
    if (before.inputs[option] !== now.inputs[option]) changes.push(`what ${option} holds was changed`)
  for (const name of union(before.needs, now.needs))
    if (before.needs[name] !== now.needs[name]) changes.push(`the stage ${name} before it was changed`)
  return changes.length > 3 ? `${changes.slice(0, 3).join('; ')}; …` : changes.join('; ')
}

const union = (a: object, b: object) => [...new Set([...Object.keys(a), ...Object.keys(b)])]

function differences(
  was: unknown,
  is: unknown,
  path: Path = [],
): { path: Path; was: unknown; is: unknown }[] {
  if (isMapping(was) && isMapping(is))
    return union(was, is).flatMap(key => differences(was[key], is[key], [...path, key]))
  return JSON.stringify(was) === JSON.stringify(is) ? [] : [{ path, was, is }]
}

function remove(value: unknown, path: Path): void {
  let parent = value as Record<string | number, unknown> | undefined
  for (const part of path.slice(0, -1))
    parent = parent?.[part] as Record<string | number, unknown> | undefined
  if (parent !== undefined && parent !== null) delete parent[path.at(-1)!]
}

function programVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version
}
