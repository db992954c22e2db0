/** What a model's files hold: where they lie, the configuration, where each weight is, the tokenizer. */
export { type ModelConfiguration, readConfiguration } from './configuration.js'
export { copyModelSidecars, type SavedDtype } from './model-folder.js'
export { type SafetensorsEntry, safetensorsHeader } from './safetensors-header.js'
export { type ModelFiles, type ResolveOptions, resolveModel } from './source.js'
export { type ChatMessage, type DecodeStream, Tokenizer } from './tokenizer.js'
export { readWeightTable, type WeightEntry, type WeightType } from './weight-table.js'
export { readSafetensorsFile } from './weights-safetensors.js'
