/** Everything of a Hugging Face model folder beside its weights. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ModelConfiguration, readConfiguration } from './configuration.js'
import { type Fields, readJsonFile, readTextFileIfPresent } from './fields.js'
import { readGgufHeader } from './gguf-file.js'
import type { ModelFiles } from './source.js'
import type { TokenizerDescription } from './tokenizer-files.js'
import { tokenizerFromGguf } from './tokenizer-gguf.js'

export type SavedDtype = 'float32' | 'bfloat16'

const copied = [
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

/** Writes into `toFolder` what makes it, with the weights, a complete model that transformers loads. */
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
  const { torch_dtype: _, ...config } = await readJsonFile(join(folder, 'config.json'))
  await writeJson(join(toFolder, 'config.json'), { ...config, dtype })
  for (const name of copied)
    if ((await readTextFileIfPresent(join(folder, name))) !== undefined)
      await copyFile(join(folder, name), join(toFolder, name))
}

async function writeFromGguf(
  from: ModelFiles & { kind: 'gguf' },
  toFolder: string,
  dtype: SavedDtype,
): Promise<void> {
  const configuration = await readConfiguration(from)
  const header = await readGgufHeader(from.file)
  const tokenizer = tokenizerFromGguf(header)
  const write = (name: string, value: unknown) => writeJson(join(toFolder, name), value)
  await write('config.json', configJson(configuration, header.metadata, dtype))
  await write('generation_config.json', generationConfig(configuration, header.metadata))
  await write('tokenizer.json', tokenizer.json)
  await write('tokenizer_config.json', tokenizerConfig(tokenizer, configuration))
  await write('special_tokens_map.json', tokenizer.specialTokens)
  const template = tokenizer.chatTemplates.get('default')
  if (template !== undefined) await writeFile(join(toFolder, 'chat_template.jinja'), template)
}

const classes = { llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM', qwen3: 'Qwen3ForCausalLM' }

function configJson(configuration: ModelConfiguration, metadata: Fields, dtype: SavedDtype): Fields {
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
    rope_theta: Number(
      (metadata[`${architecture}.rope.freq_base`] as number | undefined)?.toPrecision(7) ?? 10000,
    ),
    tie_word_embeddings: configuration.tiedEmbeddings,
    attention_bias: architecture === 'qwen2',
    ...endTokens(configuration),
    dtype,
  }
}

function endTokens({ beginningOfSequenceToken, endOfSequenceTokens }: ModelConfiguration): Fields {
  return {
    bos_token_id: beginningOfSequenceToken ?? null,
    eos_token_id: endOfSequenceTokens.length > 1 ? endOfSequenceTokens : (endOfSequenceTokens[0] ?? null),
  }
}

function generationConfig(configuration: ModelConfiguration, metadata: Fields): Fields {
  return { ...endTokens(configuration), pad_token_id: metadata['tokenizer.ggml.padding_token_id'] ?? null }
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

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, null, 2)}\n`)
}
