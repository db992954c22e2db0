/** Whether a training run fits into a machine, before anything is loaded: memory by part, and what to change if not. */
import { parseConfig, type TrainConfig, type TrainConfigInput, trainKind } from '../config/index.js'
import { type Checkpointing, defaultDtype } from '../engine/index.js'
import { type ModelShape, readConfiguration, resolveModel } from '../models/index.js'
import {
  fastestThatFits,
  type MemoryParts,
  memoryOf,
  type PlanInput,
  type PlannedModel,
  peakOf,
} from './plan/memory.js'
import { adapterParametersOf, knownShapes } from './plan/shapes.js'

export interface PlanOptions {
  /** GPUs of one kind; 0 plans for this machine's CPU. Default 0. */
  gpus?: number
  /** Bytes of each GPU, or that the run may take of the CPU's memory. Default: what is free now. */
  memoryBytes?: number
  /** Tokens of a prompt, on average. Default 256. */
  promptTokens?: number
  signal?: AbortSignal
}

export interface Plan {
  /** Bytes on each device. */
  parts: MemoryParts
  peakBytes: number
  memoryBytes: number
  fits: boolean
  devices: number
  /** The configuration's, or what `auto` comes to within `memoryBytes`. */
  checkpointing: Checkpointing
  /** If every completion is as long as it may be. */
  tokensPerStep: { prompts: number; completions: number }
  /** What would make it fit, the mildest change first; empty where it fits or where nothing listed would help. */
  changes: { change: string; peakBytes: number }[]
}

/**
 * @throws {ConfigurationError} the configuration is not one
 * @throws {ModelError} a model's configuration cannot be found
 */
export async function plan(config: TrainConfigInput, options: PlanOptions = {}): Promise<Plan> {
  const parsed = parseConfig(trainKind, config)
  const memoryBytes = options.memoryBytes ?? parsed.training.memoryBudget ?? process.availableMemory()
  const input = await inputOf(parsed, options, memoryBytes)
  const parts = memoryOf(input)
  const peakBytes = peakOf(parts)
  const fits = peakBytes <= memoryBytes
  return {
    ...{ parts, peakBytes, memoryBytes, fits, devices: input.devices, checkpointing: input.checkpointing },
    tokensPerStep: {
      prompts: input.promptsPerStep * input.promptTokens,
      completions: input.promptsPerStep * input.completions * input.maxNewTokens,
    },
    changes: fits ? [] : changesThatFit(input, memoryBytes),
  }
}

async function inputOf(config: TrainConfig, options: PlanOptions, memoryBytes: number): Promise<PlanInput> {
  const device = (options.gpus ?? 0) > 0 ? 'cuda' : 'cpu'
  const model = async (name: string, dtype: TrainConfig['teacher']['dtype']): Promise<PlannedModel> => {
    const chosen = dtype !== 'auto' ? dtype : device === 'cuda' ? 'bfloat16' : defaultDtype()
    return { shape: await shapeOf(name, options.signal), bytesPerValue: chosen === 'bfloat16' ? 2 : 4 }
  }
  const teacher = await model(config.teacher.model, config.teacher.dtype)
  const { tokenBudget } = config.training
  const { checkpointing } = config.training
  const input: PlanInput = {
    adapterParameters: config.teacher.lora ? adapterParametersOf(teacher.shape, config.teacher.lora) : 0,
    ...{ teacher, device, frozen: await frozenModels(config, teacher, model) },
    devices: Math.max(1, options.gpus ?? 0),
    moments: config.optimizer.moments,
    checkpointing: checkpointing === 'auto' ? 'every-layer' : checkpointing,
    tokenBudget: { backward: tokenBudget || 2048, score: tokenBudget || 4096 },
    promptTokens: options.promptTokens ?? 256,
    promptsPerStep: config.training.promptsPerStep,
    completions: config.sampling.completions,
    maxNewTokens: config.sampling.maxNewTokens,
    cacheBytes: config.sampling.cacheBytes ?? memoryBytes / 2,
  }
  if (checkpointing !== 'auto' || (device === 'cuda' && config.training.memoryBudget === null)) return input
  const peak = (policy: Checkpointing) => peakOf(memoryOf({ ...input, checkpointing: policy }))
  return { ...input, checkpointing: fastestThatFits(peak, config.training.memoryBudget ?? memoryBytes) }
}

/**
 * As the run loads them: the teacher as it was is one model, whether it is student, reference or both. With LoRA it is the
 * teacher itself.
 */
async function frozenModels(
  { students, reference, algorithm, teacher: { lora } }: TrainConfig,
  teacher: PlannedModel,
  model: (name: string, dtype: TrainConfig['teacher']['dtype']) => Promise<PlannedModel>,
): Promise<PlannedModel[]> {
  const others = students.filter(({ model }) => model !== 'teacher')
  const frozen = await Promise.all(others.map(({ model: name, dtype }) => model(name, dtype)))
  const tied = algorithm.beta > 0
  if (!lora && (others.length < students.length || (tied && reference.kind === 'frozen')))
    frozen.push(teacher)
  if (tied && reference.kind === 'blended') frozen.push(teacher)
  return frozen
}

async function shapeOf(name: string, signal?: AbortSignal): Promise<ModelShape> {
  return knownShapes[name] ?? readConfiguration(await resolveModel(name, signal ? { signal } : {}))
}

/** Each change alone, then all together with as many devices as it takes. */
function changesThatFit(input: PlanInput, memoryBytes: number): Plan['changes'] {
  const half = (tokens: number) => Math.max(512, tokens >> 1)
  const budget = half(input.tokenBudget.backward)
  const single: [string, Partial<PlanInput>][] = [
    ['training.checkpointing=every-layer', { checkpointing: 'every-layer' }],
    [`training.tokenBudget=${budget}`, { tokenBudget: { backward: budget, score: budget } }],
    ['optimizer.moments=8bit', { moments: '8bit' }],
  ]
  const together: [string, Partial<PlanInput>] = [
    single.map(([name]) => name).join(' and '),
    Object.assign({}, ...single.map(([, change]) => change)),
  ]
  const candidates = [...single, together]
  if (input.device === 'cuda')
    for (let devices = input.devices * 2; devices <= 1024; devices *= 2) {
      candidates.push([`--gpus ${devices}`, { devices }])
    }
  const fitting = candidates
    .map(([change, changed]) => ({ change, peakBytes: peakOf(memoryOf({ ...input, ...changed })) }))
    .filter(({ peakBytes }) => peakBytes <= memoryBytes)
  return fitting.slice(0, 3)
}
