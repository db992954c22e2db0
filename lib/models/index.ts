/**
 * What a model's files hold: where they lie, the configuration, where each weight is, the tokenizer. And the hub's
 * cache, in which data sets lie too.
 */

export { type CachedModel, listCachedModels } from './cached-models.js'
export { type ModelConfiguration, readConfiguration } from './configuration.js'
export { RepositoryCache } from './hub-cache.js'
export { hubConnection, isNetworkFailure, isOffline } from './hub-connection.js'
export { downloadBlob, hashOf } from './hub-file.js'
export {
  adapterShapes,
  adapterWeightsName,
  type LoraConfig,
  loraScale,
  readAdapter,
  writeAdapterConfig,
} from './lora.js'
export { type LoraTarget, loraTargets } from './lora-targets.js'
export { copyModelSidecars, type SavedDtype } from './model-folder.js'
export { cacheFolder } from './paths.js'
export { byteLength, type SafetensorsEntry, safetensorsHeader } from './safetensors-header.js'
export {
  type DownloadProgress,
  type ModelFiles,
  placeOf,
  type ResolveOptions,
  resolveModel,
} from './source.js'
export { type ChatMessage, type DecodeStream, Tokenizer } from './tokenizer.js'
export {
  expectedShapes,
  type ModelShape,
  readWeightTable,
  type WeightEntry,
  type WeightType,
} from './weight-table.js'
export { readSafetensorsFile, stateTypes } from './weights-safetensors.js'
