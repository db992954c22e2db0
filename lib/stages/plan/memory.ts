/**
 * Where the memory of a training run goes, in bytes on each device. The engine's own structures, written down as
 * arithmetic: what is kept of a layer is `LayerActivations` in native/model/decoder.h.
 */
import type { ModelShape } from '../../models/index.js'
import { largestUnitOf, parametersOf } from './shapes.js'

export interface PlannedModel {
  shape: ModelShape
  bytesPerValue: 2 | 4
}

export interface PlanInput {
  teacher: PlannedModel
  /** Of the teacher's LoRA adapters, which alone are trained then; 0 trains all its weights. */
  adapterParameters: number
  /** Frozen models with weights of their own: the teacher as it was, other students, a blended reference. */
  frozen: PlannedModel[]
  /** Weights, gradients and moments are divided among so many. */
  devices: number
  device: 'cpu' | 'cuda'
  moments: 'float32' | '8bit'
  /** Whether only each layer's input is kept for the backward pass. */
  checkpoint: boolean
  /** Tokens that go through a model at once. */
  tokenBudget: { backward: number; score: number }
  promptTokens: number
  promptsPerStep: number
  completions: number
  maxNewTokens: number
  /** What keys and values may take, at most. */
  cacheBytes: number
}

/** Bytes by part; the activations and the cache are not needed at the same time. */
export interface MemoryParts {
  process: number
  weights: number
  gradients: number
  moments: number
  /** The lower halves of fp32 master weights, beside bfloat16 weights. */
  masterWeights: number
  /** Layers brought together from all devices: the one in use and the next. */
  gatheredLayers: number
  activations: number
  keyValueCache: number
}

/** Node, LibTorch and the tokenizer, on Linux. A GPU's process holds CUDA's context on the device instead. */
const processBytes = { cpu: 320e6, cuda: 600e6 }

/** Logits are made and used so many at a time: native/scoring. */
const logitsHeld = 8 * 2 ** 20

export function memoryOf(input: PlanInput): MemoryParts {
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
    activations: activationsOf(input),
    keyValueCache: cacheOf(input),
  }
}

export function peakOf(parts: MemoryParts): number {
  const { activations, keyValueCache, ...always } = parts
  return Object.values(always).reduce((a, b) => a + b, 0) + Math.max(activations, keyValueCache)
}

/** The most that a forward or backward pass holds beside weights and gradients. */
function activationsOf(input: PlanInput): number {
  const { teacher, frozen, checkpoint, tokenBudget } = input
  const kept = checkpoint ? teacher.shape.hiddenSize : keptPerToken(teacher.shape)
  const training =
    tokensAtOnce(tokenBudget.backward, input) *
      (teacher.shape.layers * kept + workingPerToken(teacher.shape)) *
      teacher.bytesPerValue +
    logitsHeld * 4
  const scoring = [teacher, ...frozen].map(
    ({ shape, bytesPerValue }) =>
      tokensAtOnce(tokenBudget.score, input) * workingPerToken(shape) * bytesPerValue + logitsHeld * 4,
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

/** Values of a layer and token that wait for the backward pass: its input, queries, keys and values, what attention gave, the middle, gate and up. */
function keptPerToken({ hiddenSize, intermediateSize, ...shape }: ModelShape): number {
  const queries = shape.heads * shape.headSize
  const keysAndValues = 2 * shape.keyValueHeads * shape.headSize
  return 2 * hiddenSize + 2 * queries + keysAndValues + 2 * intermediateSize
}

/** Values of a token in the layer that is being computed, gradients included. */
function workingPerToken(shape: ModelShape): number {
  return keptPerToken(shape) + 4 * shape.hiddenSize + 3 * shape.intermediateSize
}

function cacheOf(input: PlanInput): number {
  const { shape, bytesPerValue } = input.teacher
  return Math.min(input.cacheBytes, tokensOfStep(input) * cachePerToken(shape, bytesPerValue))
}

function cachePerToken({ layers, keyValueHeads, headSize }: ModelShape, bytesPerValue: number): number {
  return 2 * layers * keyValueHeads * headSize * bytesPerValue
}
