import { configurationFromGguf } from './configuration-gguf.js'
import { configurationFromFolder } from './configuration-json.js'
import type { ModelFiles } from './source.js'

/** The features of a decoder. The engine goes by these and knows no architecture names. */
export interface ModelConfiguration {
  architecture: 'llama' | 'qwen2' | 'qwen3'
  /** Rows of the embedding: token ids are 0 to `vocabularySize - 1`. A tokenizer may use fewer. */
  vocabularySize: number
  hiddenSize: number
  intermediateSize: number
  layers: number
  heads: number
  /** Divides `heads`: each key-value head serves `heads / keyValueHeads` query heads. */
  keyValueHeads: number
  headSize: number
  /** Added to the mean square in each RMS norm. */
  normEpsilon: number
  /** [headSize / 2], in radians per position, with any scaling of the model's context applied. */
  rotaryInverseFrequencies: Float64Array
  queryKeyValueBias: boolean
  /** Whether queries and keys go through an RMS norm per head. */
  queryKeyNorm: boolean
  /** Whether the output projection is the embedding. */
  tiedEmbeddings: boolean
  /** The longest sequence that the model is made for, in tokens. */
  maxPositions: number
  beginningOfSequenceToken?: number
  /** Every token that ends a turn or a text; may be empty. */
  endOfSequenceTokens: number[]
}

/** @throws {ModelError} naming the file, the field and what is supported */
export function readConfiguration(files: ModelFiles): Promise<ModelConfiguration> {
  return files.kind === 'gguf' ? configurationFromGguf(files.file) : configurationFromFolder(files.folder)
}
