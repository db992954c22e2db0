/** Where the memory of a training run goes, in bytes on each device. */
import {
  type Checkpointing,
  checkpointingPolicies,
  scoringActivationBytes,
  trainingActivationBytes,
} from '../../engine/index.js'
import type { ModelShape } from '../../models/index.js'
import { largestUnitOf, parametersOf } from './shapes.js'

export interface PlannedModel {
  shape: ModelShape
  bytesPerValue: 2 | 4
}

/** What decides the memory that is held whatever is being computed. */
export interface HeldInput {
  teacher: PlannedModel
  /** Of the teacher's LoRA adapters, which alone are trained then; 0 trains all its weights. */
  adapterParameters: number
  /** Frozen models with weights of their own: the teacher as it was, other students, a blended reference. */
  frozen: PlannedModel[]
  /** Weights, gradients and moments are divided among so many. */
  devices: number
  device: 'cpu' | 'cuda'
  moments: 'float32' | '8bit'
}

export interface PlanInput extends HeldInput {
  checkpointing: Checkpointing
  /** Tokens that go through a model at once. */
  tokenBudget: { backward: number; score: number }
  promptTokens: number
  promptsPerStep: number
  completions: number
  maxNewTokens: number
  /** What keys and values may take, at most. */
  cacheBytes: number
}

/** Bytes by part. */
export interface HeldParts {
  process: number
  weights: number
  gradients: number
  moments: number
  /** The lower halves of fp32 master weights, beside bfloat16 weights. */
  masterWeights: number
  /** Layers brought together from all devices: the one in use and the next. */
  gatheredLayers: number
}

/** The activations and the cache are not needed at the same time. */
export interface MemoryParts extends HeldParts {
  activations: number
  keyValueCache: number
}

/** Node, LibTorch and the tokenizer, on Linux. A GPU's process holds CUDA's context on the device instead. */
const processBytes = { cpu: 320e6, cuda: 600e6 }

export function memoryOf(input: PlanInput): MemoryParts {
  return { ...heldParts(input), activations: activationsOf(input), keyValueCache: cacheOf(input) }
}

export function heldParts(input: HeldInput): HeldParts {
  const { teacher, frozen, devices, moments } = input
  const { adapterParameters } = input
  const trained = adapterParameters || parametersOf(teacher.shape)
  const models = [teacher, ...frozen]
  const weights = models.reduce(
    (sum, { shape, bytesPerValue }) => sum + parametersOf(shape) * bytesPerValue,
    0,
  )
  // Codes of 256 values share a scale of 4 bytes.
  const momentBytes = moments === '8bit' ? 2 * (1 + 4 / 256) : 8
  return {
    process: processBytes[input.device],
    weights: (weights + 4 * adapterParameters) / devices,
    gradients: (4 * trained) / devices,
    moments: (momentBytes * trained) / devices,
    // Adapters are fp32 themselves.
    masterWeights: teacher.bytesPerValue === 2 && adapterParameters === 0 ? (2 * trained) / devices : 0,
    gatheredLayers:
      devices === 1
        ? 0
        : 2 * Math.max(...models.map(({ shape, bytesPerValue }) => largestUnitOf(shape) * bytesPerValue)),
  }
}

export function peakOf({ activations, keyValueCache, ...held }: MemoryParts): number {
  return sumOf(held) + Math.max(activations, keyValueCache)
}

export const sumOf = (held: HeldParts): number =>
  Object.values(held as unknown as Record<string, number>).reduce((a, b) => a + b, 0)

/**
 * The fastest policy with which `peakBytes` of it is within the budget, with a tenth to spare: that is how exact these
 * formulas are. The most sparing one where none is.
 */
export function fastestThatFits(
  peakBytes: (policy: Checkpointing) => number,
  memoryBytes: number,
): Checkpointing {
  return checkpointingPolicies.find(policy => 1.1 * peakBytes(policy) <= memoryBytes) ?? 'every-layer'
}

/** The most that a forward or backward pass holds beside weights and gradients. */
function activationsOf(input: PlanInput): number {
  const { teacher, frozen, checkpointing, tokenBudget } = input
  const training = trainingActivationBytes(
    teacher.shape,
    teacher.bytesPerValue,
    checkpointing,
    tokensAtOnce(tokenBudget.backward, input),
  )
  const scoring = [teacher, ...frozen].map(({ shape, bytesPerValue }) =>
    scoringActivationBytes(shape, bytesPerValue, tokensAtOnce(tokenBudget.score, input)),
  )
  return Math.max(training, ...scoring)
}

/** A sequence is never divided: one that is longer than the budget goes alone. */
function tokensAtOnce(budget: number, input: PlanInput): number {
  return Math.min(tokensOfStep(input), Math.max(budget, input.promptTokens + input.maxNewTokens))
}

function tokensOfStep(input: PlanInput): number {
  const prompts = Math.ceil(input.promptsPerStep / input.devices)
  return prompts * (input.promptTokens + input.completions * input.maxNewTokens)
}

function cacheOf(input: PlanInput): number {
  const { shape, bytesPerValue } = input.teacher
  return Math.min(input.cacheBytes, tokensOfStep(input) * cachePerToken(shape, bytesPerValue))
}

function cachePerToken({ layers, keyValueHeads, headSize }: ModelShape, bytesPerValue: number): number {
  return 2 * layers * keyValueHeads * headSize * bytesPerValue
}
