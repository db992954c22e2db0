/**
 * All stages of a training from one configuration, each with its inputs and outputs. What is complete and unchanged is
 * skipped; what was stopped or killed goes on by its own means.
 */
import { mkdir } from 'node:fs/promises'
import { peakMemoryBytes, resetPeakMemory, type TokensWorked, tokensWorked } from '../engine/index.js'
import { lockFolder, RunError } from '../runs/index.js'
import { type Pipeline, type PipelineConfigInput, parsePipeline } from './pipeline/configuration.js'
import { stageFailure } from './pipeline/errors.js'
import { Fingerprints } from './pipeline/fingerprints.js'
import { dependantsOf } from './pipeline/order.js'
import { type Choice, planSteps, type Step } from './pipeline/plan.js'
import {
  type PipelineRecord,
  readRecord,
  type StageCost,
  type StageRecord,
  setAside,
  writeRecord,
} from './pipeline/record.js'
import type { StageProgress } from './pipeline/registry.js'

export {
  loadPipeline,
  type Pipeline,
  type PipelineConfigInput,
  parsePipeline,
  withModelOptions,
} from './pipeline/configuration.js'
export { PipelineError } from './pipeline/errors.js'
export type { StageCost } from './pipeline/record.js'

export interface StageSummary {
  name: string
  stage: string
  action: 'run' | 'resume' | 'skip'
  /** Why that. */
  reason: string
  folder: string
  /** By the names with which they are referred to. */
  outputs: Record<string, string>
  /** Whether its outputs are there. */
  complete: boolean
  /** Of all work on it, in whichever call; null where there has been none. */
  cost: StageCost | null
}

export interface PipelineResult {
  folder: string
  /** False if it was stopped by its signal; called again, it goes on. */
  finished: boolean
  stages: StageSummary[]
}

export type PipelineEvent =
  | { type: 'plan'; stages: StageSummary[] }
  | { type: 'start'; name: string; stage: string; action: 'run' | 'resume'; reason: string }
  | ({ type: 'progress'; name: string } & StageProgress)
  | { type: 'message'; name: string; text: string; level: 'info' | 'warning' }
  | { type: 'finish'; name: string; cost: StageCost }

export interface PipelineOptions extends Pick<Choice, 'only' | 'from'> {
  /** Aborting stops the stage that runs where it can be gone on with, and `runPipeline` returns. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: PipelineEvent) => void) | undefined
}

/**
 * Runs the stages of a pipeline in the order of what they need of each other.
 *
 * Which stages are complete is kept in `folder/pipeline.json` with hashes of their configuration, of their inputs and
 * of their outputs. Whatever a stage wrote for another configuration is set aside as `folder/NAME.previous`.
 *
 * @param input a plain object, or what {@link loadPipeline} made of a file
 * @throws {ConfigurationError} with every problem of the pipeline and of its stages, before anything runs
 * @throws {RunError} the folder is in use or cannot be written
 * @throws {PipelineError} a stage failed; those before it are kept
 */
export async function runPipeline(
  input: PipelineConfigInput | Pipeline,
  options: PipelineOptions = {},
): Promise<PipelineResult> {
  const pipeline = await checked(input)
  const { folder } = pipeline
  await mkdir(folder, { recursive: true }).catch(error => {
    throw new RunError(`The pipeline's folder ${folder} cannot be made: ${error.message}`, { cause: error })
  })
  const unlock = await lockFolder(folder)
  try {
    const record = await readRecord(folder)
    const files = new Fingerprints(record.files)
    const steps = await planSteps(pipeline, record, files, options).catch(error => {
      if (options.signal?.aborted) return []
      throw error
    })
    if (options.signal?.aborted) return { folder, finished: false, stages: summaries(steps, record) }
    options.onEvent?.({ type: 'plan', stages: summaries(steps, record) })
    for (const step of steps) {
      if (step.action === 'skip') continue
      if (options.signal?.aborted) return { folder, finished: false, stages: summaries(steps, record) }
      const finished = await runStep(step, { pipeline, record, files }, options)
      if (!finished) return { folder, finished, stages: summaries(steps, record) }
    }
    return { folder, finished: true, stages: summaries(steps, record) }
  } finally {
    await unlock()
  }
}

/** What {@link runPipeline} would do. Nothing is written and no model is loaded. */
export async function planPipeline(
  input: PipelineConfigInput | Pipeline,
  options: Pick<PipelineOptions, 'only' | 'from' | 'signal'> = {},
): Promise<StageSummary[]> {
  const pipeline = await checked(input)
  const record = await readRecord(pipeline.folder)
  return summaries(await planSteps(pipeline, record, new Fingerprints(record.files), options), record)
}

async function checked(input: PipelineConfigInput | Pipeline): Promise<Pipeline> {
  return 'needs' in input && input.needs instanceof Map ? input : parsePipeline(input)
}

interface Work {
  pipeline: Pipeline
  record: PipelineRecord
  files: Fingerprints
}

async function runStep(
  { stage, action, reason, identity, content }: Step,
  { pipeline, record, files }: Work,
  { signal, onEvent }: PipelineOptions,
): Promise<boolean> {
  const { name, kind, folder, config, definition, outputs } = stage
  const resume = action === 'resume'
  onEvent?.({ type: 'start', name, stage: kind, action: resume ? 'resume' : 'run', reason })

  // From here on, what was made of this stage's output is of the past, even if the process is killed now.
  for (const dependant of dependantsOf(name, pipeline.needs)) delete record.stages[dependant]
  const entry: StageRecord = {
    ...{ state: 'started', identity, content, outputs: {} },
    cost: resume ? record.stages[name]!.cost : noCost,
  }
  if (!resume) {
    delete record.stages[name]
    await save()
    await setAside(folder)
  }
  await mkdir(folder, { recursive: true })
  record.stages[name] = entry
  await save()

  const meter = await Meter.start(entry.cost)
  let finished: boolean
  try {
    finished = await definition.run(config, {
      ...{ folder, resume, signal },
      message: (text, level) => onEvent?.({ type: 'message', name, text, level }),
      progress: progress => onEvent?.({ type: 'progress', name, ...progress }),
    })
  } catch (error) {
    entry.cost = meter.read()
    await save().catch(() => {}) // the first error is the one to report
    throw stageFailure(name, kind, folder, error)
  }
  entry.cost = meter.read()
  if (finished) {
    for (const [output, path] of Object.entries(outputs))
      if (output !== 'folder') entry.outputs[output] = await written(path)
    entry.state = 'complete'
  }
  await save()
  if (finished) onEvent?.({ type: 'finish', name, cost: entry.cost })
  return finished

  async function written(path: string): Promise<string> {
    const hash = await files.of(path)
    if (hash === undefined)
      throw stageFailure(name, kind, folder, new RunError(`it was to write ${path}, which is not there`))
    return hash
  }
  async function save(): Promise<void> {
    await writeRecord(pipeline.folder, { ...record, files: files.toJSON() })
  }
}

const noCost: StageCost = {
  seconds: 0,
  tokens: { sampled: 0, scored: 0, trained: 0 },
  peakMemoryBytes: 0,
}

/** What is spent from its start on, added to what had been spent before. */
class Meter {
  private readonly started = performance.now()
  private readonly tokens: TokensWorked = tokensWorked()

  private constructor(private readonly before: StageCost) {}

  static async start(before: StageCost): Promise<Meter> {
    await resetPeakMemory()
    return new Meter(before)
  }

  read(): StageCost {
    const now = tokensWorked()
    const since = (kind: keyof TokensWorked) => this.before.tokens[kind] + now[kind] - this.tokens[kind]
    return {
      seconds: this.before.seconds + (performance.now() - this.started) / 1000,
      tokens: { sampled: since('sampled'), scored: since('scored'), trained: since('trained') },
      peakMemoryBytes: Math.max(this.before.peakMemoryBytes, peakMemoryBytes()),
    }
  }
}

function summaries(steps: readonly Step[], { stages }: PipelineRecord): StageSummary[] {
  return steps.map(({ stage: { name, kind, folder, outputs }, action, reason, identity }) => {
    const record = stages[name]?.identity === identity ? stages[name] : undefined
    return {
      ...{ name, stage: kind, action, reason, folder, outputs },
      ...{ complete: record?.state === 'complete', cost: record?.cost ?? null },
    }
  })
}
