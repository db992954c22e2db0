/** Everything of a Hugging Face model folder beside its weights. */
import { mkdir, readdir, readFile, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeWhole } from '../files.js'
import { type ModelConfiguration, readConfiguration } from './configuration.js'
import { readGgufRotary } from './configuration-gguf.js'
import { type Fields, readJsonFile } from './fields.js'
import { type GgufHeader, readGgufHeader } from './gguf-file.js'
import { fileInside } from './paths.js'
import { rotaryFields } from './rotary.js'
import type { ModelFiles } from './source.js'
import { furtherTemplates, type TokenizerDescription } from './tokenizer-files.js'
import { tokenizerFromGguf } from './tokenizer-gguf.js'

export type SavedDtype = 'float32' | 'bfloat16'

/** Taken as they are. */
const copiedFiles = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
]

/**
 * Writes into `toFolder` what makes it, with the weights, a complete model that transformers loads: copies of a
 * folder's files, or what GGUF metadata says, in Hugging Face's terms. The files are flushed to the disk.
 * @param options `dtype` is the type of the weights that lie there
 * @throws {ModelError} when a file of `from` is missing or damaged
 */
export async function copyModelSidecars(
  from: ModelFiles,
  toFolder: string,
  { dtype }: { dtype: SavedDtype },
): Promise<void> {
  await mkdir(toFolder, { recursive: true })
  if (from.kind === 'gguf') await writeFromGguf(from, toFolder, dtype)
  else await copyFromFolder(from.folder, toFolder, dtype)
}

async function copyFromFolder(folder: string, toFolder: string, dtype: SavedDtype): Promise<void> {
  const config = await readJsonFile(join(folder, 'config.json'))
  // `torch_dtype` is what dtype was called before.
  const key = 'torch_dtype' in config && !('dtype' in config) ? 'torch_dtype' : 'dtype'
  await writeJson(join(toFolder, 'config.json'), { ...config, [key]: dtype })
  if ((await realpath(folder)) === (await realpath(toFolder))) return
  const templates = await readdir(join(folder, furtherTemplates)).catch(() => [])
  const names = [...copiedFiles, ...templates.map(name => join(furtherTemplates, name))]
  for (const name of names) {
    const content = await readIfPresent(join(folder, name))
    if (content) await writeInto(join(toFolder, name), content)
  }
}

async function writeFromGguf(from: ModelFiles & { kind: 'gguf' }, toFolder: string, dtype: SavedDtype) {
  const configuration = await readConfiguration(from)
  const header = await readGgufHeader(from.file)
  const tokenizer = tokenizerFromGguf(header)
  const write = (name: string, value: unknown) => writeJson(join(toFolder, name), value)
  await write('config.json', await configJson(configuration, header, dtype))
  await write('generation_config.json', generationConfig(configuration, header.metadata))
  await write('tokenizer.json', tokenizer.json)
  await write('tokenizer_config.json', tokenizerConfig(tokenizer, configuration))
  await write('special_tokens_map.json', tokenizer.specialTokens)
  for (const [name, source] of tokenizer.chatTemplates) {
    const further = () => fileInside(join(toFolder, furtherTemplates), `${name}.jinja`, from.file)
    await writeInto(name === 'default' ? join(toFolder, 'chat_template.jinja') : further(), source)
  }
}

const classes = { llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM', qwen3: 'Qwen3ForCausalLM' }

async function configJson(
  configuration: ModelConfiguration,
  header: GgufHeader,
  dtype: SavedDtype,
): Promise<Fields> {
  const { architecture } = configuration
  return {
    architectures: [classes[architecture]],
    model_type: architecture,
    vocab_size: configuration.vocabularySize,
    hidden_size: configuration.hiddenSize,
    intermediate_size: configuration.intermediateSize,
    num_hidden_layers: configuration.layers,
    num_attention_heads: configuration.heads,
    num_key_value_heads: configuration.keyValueHeads,
    head_dim: configuration.headSize,
    hidden_act: 'silu',
    rms_norm_eps: configuration.normEpsilon,
    max_position_embeddings: configuration.maxPositions,
    ...rotaryFields(await readGgufRotary(header, configuration.headSize)),
    tie_word_embeddings: configuration.tiedEmbeddings,
    ...(architecture === 'qwen2' ? {} : { attention_bias: false }),
    ...(architecture === 'llama' ? { mlp_bias: false } : { use_sliding_window: false }),
    ...sequenceTokens(configuration),
    dtype,
  }
}

function generationConfig(configuration: ModelConfiguration, metadata: Fields): Fields {
  return {
    ...sequenceTokens(configuration),
    pad_token_id: metadata['tokenizer.ggml.padding_token_id'] ?? null,
  }
}

function sequenceTokens({ beginningOfSequenceToken, endOfSequenceTokens }: ModelConfiguration): Fields {
  return {
    bos_token_id: beginningOfSequenceToken ?? null,
    eos_token_id: endOfSequenceTokens.length > 1 ? endOfSequenceTokens : (endOfSequenceTokens[0] ?? null),
  }
}

function tokenizerConfig(
  { specialTokens }: TokenizerDescription,
  { maxPositions }: ModelConfiguration,
): Fields {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: maxPositions,
    clean_up_tokenization_spaces: false,
    ...specialTokens,
  }
}

async function readIfPresent(file: string): Promise<Uint8Array | undefined> {
  return readFile(file).catch(error => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeInto(file, `${JSON.stringify(value, null, 2)}\n`)
}

async function writeInto(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeWhole(file, content)
}
