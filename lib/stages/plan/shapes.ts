/** What memory is reckoned from: the shape of a decoder. */
import { adapterShapes, expectedShapes, type LoraConfig, type ModelShape } from '../../models/index.js'

const qwen25Of7B: ModelShape = {
  vocabularySize: 152064,
  hiddenSize: 3584,
  intermediateSize: 18944,
  layers: 28,
  heads: 28,
  keyValueHeads: 4,
  headSize: 128,
  queryKeyValueBias: true,
  queryKeyNorm: false,
  tiedEmbeddings: false,
}

/** Models of the presets, by the figures of their config.json: a plan of them needs no download. */
export const knownShapes: Readonly<Record<string, ModelShape>> = {
  'Qwen/Qwen2.5-7B-Instruct': qwen25Of7B,
  'bespokelabs/Bespoke-Stratos-7B': qwen25Of7B,
}

export function parametersOf(shape: ModelShape): number {
  return sizeOf(expectedShapes(shape))
}

export function adapterParametersOf(shape: ModelShape, lora: Pick<LoraConfig, 'rank' | 'targets'>): number {
  return sizeOf(adapterShapes(lora, shape))
}

function sizeOf(shapes: ReadonlyMap<string, readonly number[]>): number {
  let total = 0
  for (const sizes of shapes.values()) total += sizes.reduce((a, b) => a * b, 1)
  return total
}

/** Weights of the largest thing that is gathered at a time: a layer, or the embedding. */
export function largestUnitOf(shape: ModelShape): number {
  const ofLayer = parametersOf({ ...shape, layers: 1 }) - parametersOf({ ...shape, layers: 0 })
  return Math.max(ofLayer, shape.vocabularySize * shape.hiddenSize)
}
