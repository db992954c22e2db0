/**
 * A pipeline's YAML: stages by name, each with a configuration of its own in which the outputs of others may be named.
 * All of it is checked before anything runs, and each complaint points at where its cause was written.
 */
import { stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { z } from 'zod'
import type { ConfigKind } from '../../config/index.js'
import {
  absolutePaths,
  isMapping,
  type Layer,
  overlay,
  readLayer,
  readSet,
  setAt,
} from '../../config/layers.js'
import { configurationError, locate, presetNames, presetValue, readText } from '../../config/load.js'
import type { Path, Position, Problem } from '../../config/problem.js'
import { nearest } from '../../config/suggest.js'
import { validate, valueAt } from '../../config/validate.js'
import { orderOf } from './order.js'
import { placesOf } from './paths.js'
import { referencesIn, replaceReferences } from './references.js'
import { type PipelineStage, pipelineStages } from './registry.js'

const stageSchema = z.strictObject({
  stage: z.enum(Object.keys(pipelineStages)).describe('What it does'),
  needs: z
    .array(z.string())
    .default([])
    .describe('Names of stages that come before it, besides those whose outputs its configuration names'),
  preset: z.string().nullable().default(null).describe('A preset of that stage, beneath config'),
  config: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('As in the configuration file of that stage, without where its output goes'),
})

export const pipelineSchema = z.strictObject({
  folder: z.string().min(1).describe('Where everything goes: FOLDER/NAME is the folder of the stage NAME'),
  stages: z.record(z.string(), stageSchema).describe('The stages by name'),
})

export type PipelineConfig = z.output<typeof pipelineSchema>
export type PipelineConfigInput = z.input<typeof pipelineSchema>

const stageName = /^[A-Za-z][\w-]*$/

export const pipelineKind: ConfigKind<PipelineConfig> = {
  name: 'pipeline',
  schema: pipelineSchema,
  checkCombinations: ({ stages }) => [
    ...(Object.keys(stages).length === 0
      ? [{ path: ['stages'], message: 'there are none; expected at least one' }]
      : []),
    ...Object.keys(stages)
      .filter(name => !stageName.test(name))
      .map(name => ({
        ...{ path: ['stages', name], atKey: true },
        message: 'expected a name of letters, digits, - and _ that begins with a letter: it names a folder',
      })),
  ],
  placeholders: { folder: '?', stages: {} },
}

/** A stage with all that is known of it before it runs. */
export interface PlannedStage {
  name: string
  kind: string
  definition: PipelineStage
  /** Names, each once. */
  needs: string[]
  /** Complete: every reference replaced, every default written out. */
  config: object
  folder: string
  outputs: Record<string, string>
}

export interface Pipeline {
  /** Absolute. */
  folder: string
  /** Each after those that it needs. */
  stages: PlannedStage[]
  needs: Map<string, string[]>
}

export interface ModelOptions {
  dtype?: 'auto' | 'float32' | 'bfloat16' | undefined
  device?: 'auto' | 'cpu' | 'cuda' | undefined
  threads?: number | undefined
}

/** The pipeline with these said for all models of all stages. */
export function withModelOptions(pipeline: Pipeline, { dtype, device, threads }: ModelOptions): Pipeline {
  const everywhere = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(everywhere)
    if (!isMapping(value)) return value
    const copy = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, everywhere(part)]))
    return 'model' in copy && 'dtype' in copy ? { ...copy, dtype: dtype ?? copy.dtype } : copy
  }
  const stages = pipeline.stages.map(stage => {
    const config = everywhere(stage.config) as Record<string, unknown>
    if ('device' in config) config.device = device ?? config.device
    if ('threads' in config) config.threads = threads ?? config.threads
    return { ...stage, config }
  })
  return { ...pipeline, stages }
}

/**
 * @param sets `stages.NAME.config.path.to.option=value`, applied in order
 * @throws {UsageError} there is no such file
 * @throws {ConfigurationError} with every problem that it has, each with file, line and column
 */
export async function loadPipeline(file: string, sets: readonly string[] = []): Promise<Pipeline> {
  const { layer, problems } = readLayer(file, await readText(resolve(file)))
  const layers: Layer[] = [layer]
  const syntax: [Problem, Position | undefined][] = [...problems]
  let value = layer.value
  for (const argument of sets) {
    const set = readSet(argument)
    syntax.push(...set.problems)
    if (set.problems.length > 0) continue
    const changed = setAt(value, set.path, set.layer.value)
    if ('problem' in changed) syntax.push([changed.problem, { source: set.layer.source }])
    else {
      layers.push(set.layer)
      value = changed.value
    }
  }
  if (syntax.length > 0) throw configurationError(syntax)
  return checkPipeline(value, layers, dirname(resolve(file)))
}

/** A pipeline from a plain object; paths are relative to the working directory. */
export async function parsePipeline(value: unknown): Promise<Pipeline> {
  return checkPipeline(value, [], process.cwd())
}

/** @param base what the paths of inputs are relative to */
async function checkPipeline(value: unknown, layers: readonly Layer[], base: string): Promise<Pipeline> {
  const complain = (problems: readonly Problem[]) => {
    if (problems.length > 0) throw configurationError(problems.map(problem => locate(problem, layers)))
  }
  const result = validate(pipelineKind, value)
  if ('problems' in result) throw configurationError(result.problems.map(problem => locate(problem, layers)))
  const { config } = result

  const { needs, problems } = needsOf(config)
  complain(problems)
  const found = orderOf(needs)
  if ('circle' in found) return complain([circleProblem(found.circle, config)]) as never

  const folder = resolve(config.folder)
  const stages = new Map<string, PlannedStage>()
  for (const name of found.order) {
    const checked = await checkStage(name, config, { folder, base, stages })
    if ('problems' in checked) problems.push(...checked.problems)
    // A stage at fault still lets those after it be checked: what they read of it is not looked for.
    stages.set(name, { ...checked.stage, needs: needs.get(name)! })
  }
  complain(problems)
  return { folder, stages: [...stages.values()], needs }
}

/** Who needs whom, by what is written and by what is referred to. */
function needsOf({ stages }: PipelineConfig): { needs: Map<string, string[]>; problems: Problem[] } {
  const problems: Problem[] = []
  const names = Object.keys(stages)
  const unknown = (path: Path, name: string) => {
    const meant = nearest(name, names)
    const hint = meant ? `did you mean ${meant}?` : `expected one of ${names.join(', ')}`
    problems.push({ path, message: `there is no stage ${JSON.stringify(name)}; ${hint}` })
  }
  const needs = names.map((name): [string, string[]] => {
    const { needs, config } = stages[name]!
    const all = new Set<string>()
    for (const [i, needed] of needs.entries())
      if (needed in stages) all.add(needed)
      else unknown(['stages', name, 'needs', i], needed)
    for (const { path, text, target } of referencesIn(config)) {
      const full = ['stages', name, 'config', ...path]
      if (!target)
        problems.push({
          path: full,
          message: `${text} refers to nothing; expected \${stages.NAME.OUTPUT}, such as \${stages.${names[0]}.folder}`,
        })
      else if (target.stage in stages) all.add(target.stage)
      else unknown(full, target.stage)
    }
    return [name, [...all]]
  })
  return { needs: new Map(needs), problems }
}

function circleProblem(circle: readonly string[], { stages }: PipelineConfig): Problem {
  const [name, next] = circle as [string, string]
  const { needs, config } = stages[name]!
  const reference = referencesIn(config).find(({ target }) => target?.stage === next)
  const path = reference ? ['config', ...reference.path] : ['needs', needs.indexOf(next)]
  return {
    path: ['stages', name, ...path],
    message: `stages that need each other in a circle: ${circle.join(' needs ')}; take one of these out`,
  }
}

interface Surroundings {
  folder: string
  base: string
  /** Those before it. */
  stages: ReadonlyMap<string, PlannedStage>
}

async function checkStage(
  name: string,
  { stages: written }: PipelineConfig,
  { folder: pipelineFolder, base, stages }: Surroundings,
): Promise<{ stage: PlannedStage; problems: Problem[] }> {
  const { stage: kind, preset, config: own } = written[name]!
  const definition = pipelineStages[kind]!
  const folder = join(pipelineFolder, name)
  const problems: Problem[] = []
  const at = (path: Path) => ['stages', name, 'config', ...path]

  for (const { path, target } of referencesIn(own)) {
    const outputs = Object.keys(stages.get(target!.stage)!.outputs)
    if (outputs.includes(target!.output)) continue
    const meant = nearest(target!.output, outputs)
    problems.push({
      path: at(path),
      message:
        `the stage ${target!.stage} has no output ${JSON.stringify(target!.output)}; ` +
        (meant ? `did you mean ${meant}?` : `expected one of ${outputs.join(', ')}`),
    })
  }
  const placed = definition.placed(folder)
  for (const path of leavesOf(placed))
    if (valueAt(own, path) !== undefined)
      problems.push({
        ...{ path: at(path), atKey: true },
        message: `the pipeline puts the output of this stage into ${folder}; leave this out`,
      })

  let lower: unknown = definition.suggested?.(folder) ?? {}
  if (preset !== null) {
    const found = await presetValue(definition.kind, preset)
    if (found === undefined) problems.push(await unknownPreset(name, kind, preset))
    lower = overlay(lower, found ?? {})
  }
  const referred = replaceReferences(own, ({ stage, output }) => stages.get(stage)?.outputs[output] ?? '?')
  const complete = overlay(overlay(lower, absolutePaths(referred, base)), placed)
  const result = validate(definition.kind, complete)
  const stage = { name, kind, definition, needs: [], folder, config: {}, outputs: { folder } }
  if ('problems' in result)
    return {
      stage,
      problems: [...problems, ...result.problems.map(problem => ({ ...problem, path: at(problem.path) }))],
    }
  const { config } = result
  if (problems.length === 0) problems.push(...(await missingInputs(config, definition, pipelineFolder, at)))
  return {
    stage: { ...stage, config, outputs: { ...definition.outputs(config, folder), folder } },
    problems,
  }
}

async function unknownPreset(name: string, kind: string, preset: string): Promise<Problem> {
  const names = await presetNames({ name: kind })
  const meant = nearest(preset, names)
  const known = names.length > 0 ? `expected one of ${names.join(', ')}` : `${kind} has none`
  return {
    path: ['stages', name, 'preset'],
    message: `there is no preset ${preset}; ${meant ? `did you mean ${meant}?` : known}`,
  }
}

/** Inputs that are files and neither there nor made by a stage before. */
async function missingInputs(
  config: object,
  { inputs }: PipelineStage,
  pipelineFolder: string,
  at: (path: Path) => Path,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const { path, value } of placesOf(config, inputs)) {
    if (!isAbsolute(value) || value.startsWith(pipelineFolder + sep)) continue
    const found = await stat(value).catch(() => undefined)
    if (!found) problems.push({ path: at(path), message: `there is no file or folder ${value}` })
  }
  return problems
}

function leavesOf(value: unknown, path: Path = []): Path[] {
  if (!isMapping(value)) return [path]
  return Object.entries(value).flatMap(([key, part]) => leavesOf(part, [...path, key]))
}
