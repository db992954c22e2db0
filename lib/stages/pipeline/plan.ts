/** What of a pipeline is to be done, and why. */
import { stat } from 'node:fs/promises'
import { nearest } from '../../config/suggest.js'
import { UsageError } from '../../errors.js'
import type { Pipeline, PlannedStage } from './configuration.js'
import type { Fingerprints } from './fingerprints.js'
import { changesOf, contentOf, identityOf, type StageContent } from './identity.js'
import { dependantsOf } from './order.js'
import type { PipelineRecord, StageRecord } from './record.js'

export interface Step {
  stage: PlannedStage
  /** From its beginning, from where it was stopped, or not at all. */
  action: 'run' | 'resume' | 'skip'
  reason: string
  identity: string
  content: StageContent
}

export interface Choice {
  /** Nothing but this stage. */
  only?: string | undefined
  /** This stage and all that depend on it, though they be complete. */
  from?: string | undefined
  signal?: AbortSignal | undefined
}

/**
 * Reads files to compare them with those of the last time; changes nothing and loads no model.
 * @throws {UsageError} `only` or `from` is no stage, or `only` needs one that is not complete
 */
export async function planSteps(
  pipeline: Pipeline,
  record: PipelineRecord,
  files: Fingerprints,
  { only, from, signal }: Choice = {},
): Promise<Step[]> {
  checkName('--only', only, pipeline)
  checkName('--from', from, pipeline)
  const again = from === undefined ? new Set() : dependantsOf(from, pipeline.needs).add(from)
  const identities = new Map<string, string>()
  const steps = new Map<string, Step>()
  for (const stage of pipeline.stages) {
    const { name, needs } = stage
    const content = await contentOf(stage, pipeline, identities, files, signal)
    const identity = identityOf(content)
    identities.set(name, identity)
    const before = needs.find(needed => steps.get(needed)!.action !== 'skip')
    const judged = await judge(stage, record.stages[name], { identity, content }, files, signal)
    const outcome =
      before !== undefined && judged.action !== 'run'
        ? { action: 'run' as const, reason: `${before}, which it needs, is run before it` }
        : again.has(name)
          ? { action: 'run' as const, reason: `--from ${from}` }
          : judged
    steps.set(name, { stage, identity, content, ...outcome })
  }
  return only === undefined ? [...steps.values()] : onlyOne(steps, only)
}

async function judge(
  { outputs }: PlannedStage,
  record: StageRecord | undefined,
  { identity, content }: Pick<Step, 'identity' | 'content'>,
  files: Fingerprints,
  signal: AbortSignal | undefined,
): Promise<Pick<Step, 'action' | 'reason'>> {
  if (record === undefined) return { action: 'run', reason: 'it has not been run yet' }
  if (record.identity !== identity) return { action: 'run', reason: changesOf(record.content, content) }
  if (record.state === 'started') return { action: 'resume', reason: 'it was begun and not completed' }
  for (const [output, hash] of Object.entries(record.outputs)) {
    const path = outputs[output]
    if (path === undefined) continue
    if (!(await stat(path).catch(() => undefined))) return { action: 'run', reason: `${path} is gone` }
    if ((await files.of(path, signal)) !== hash)
      return { action: 'run', reason: `${path} was changed since it was written` }
  }
  return { action: 'skip', reason: 'complete and unchanged' }
}

function onlyOne(steps: ReadonlyMap<string, Step>, only: string): Step[] {
  const { stage } = steps.get(only)!
  const lacking = stage.needs.find(needed => steps.get(needed)!.action !== 'skip')
  if (lacking !== undefined)
    throw new UsageError(
      `--only ${only}: it needs ${lacking}, which is not complete (${steps.get(lacking)!.reason}). Run that first, ` +
        'or leave out --only.',
    )
  return [...steps.values()].map(step =>
    step.stage.name === only ? step : { ...step, action: 'skip', reason: `--only ${only}` },
  )
}

function checkName(option: string, name: string | undefined, { stages }: Pipeline): void {
  const names = stages.map(stage => stage.name)
  if (name === undefined || names.includes(name)) return
  const meant = nearest(name, names)
  const hint = meant ? `did you mean ${meant}?` : `expected one of ${names.join(', ')}`
  throw new UsageError(`${option}: there is no stage ${JSON.stringify(name)}; ${hint}`)
}
