/** What is known of a tokenizer, whether from a folder's files or from GGUF metadata. */
import { join } from 'node:path'
import { ModelError } from '../errors.js'
import { type Fields, isFields, readJsonFileIfPresent, readTextFileIfPresent, show } from './fields.js'
import { readGgufHeader } from './gguf-file.js'
import type { ModelFiles } from './source.js'
import { tokenizerFromGguf } from './tokenizer-gguf.js'

export interface TokenizerDescription {
  /** The content of a tokenizer.json: vocabulary, merges, pre-tokenizer, decoder, added tokens. */
  json: Fields
  /** Roles (bos_token, eos_token, pad_token, unk_token …) to the tokens' texts, as chat templates name them. */
  specialTokens: Record<string, string>
  /** Name to Jinja source; the usual one is `default`. */
  chatTemplates: Map<string, string>
  /** For messages. */
  place: string
}

export async function describeTokenizer(files: ModelFiles): Promise<TokenizerDescription> {
  return files.kind === 'gguf'
    ? tokenizerFromGguf(await readGgufHeader(files.file))
    : fromFolder(files.folder)
}

const roles = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

async function fromFolder(folder: string): Promise<TokenizerDescription> {
  const file = join(folder, 'tokenizer.json')
  const json = await readJsonFileIfPresent(file)
  if (!json) throw new ModelError(noTokenizer(folder))
  if (!isFields(json.model) || !isFields(json.model.vocab))
    throw new ModelError(`${file}: model.vocab: expected an object of tokens, got ${show(json.model)}`)
  const configFile = join(folder, 'tokenizer_config.json')
  const config = (await readJsonFileIfPresent(configFile)) ?? {}
  const map = (await readJsonFileIfPresent(join(folder, 'special_tokens_map.json'))) ?? {}
  return {
    json: withAddedTokens(json, config),
    specialTokens: Object.fromEntries(
      roles
        .map(role => [role, tokenText(config[role] ?? map[role])])
        .filter(([, text]) => text !== undefined),
    ),
    chatTemplates: await readChatTemplates(folder, config, configFile),
    place: file,
  }
}

function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return isFields(value) && typeof value.content === 'string' ? value.content : undefined
}

/** Tokens that were added after training may stand in tokenizer_config.json only; transformers takes both. */
function withAddedTokens(json: Fields, config: Fields): Fields {
  const listed = Array.isArray(json.added_tokens) ? (json.added_tokens as Fields[]) : []
  const known = new Set(listed.map(({ id }) => id))
  const further = Object.entries(isFields(config.added_tokens_decoder) ? config.added_tokens_decoder : {})
    .filter(([id, token]) => isFields(token) && !known.has(Number(id)))
    .map(([id, token]) => ({ ...(token as Fields), id: Number(id) }))
  if (further.length === 0) return json
  const all: Fields[] = [...listed, ...further]
  return { ...json, added_tokens: all.sort((a, b) => Number(a.id) - Number(b.id)) }
}

async function readChatTemplates(
  folder: string,
  config: Fields,
  configFile: string,
): Promise<Map<string, string>> {
  const file = await readTextFileIfPresent(join(folder, 'chat_template.jinja'))
  if (file !== undefined) return new Map([['default', file]])
  const value = config.chat_template
  if (value === undefined || value === null) return new Map()
  if (typeof value === 'string') return new Map([['default', value]])
  if (Array.isArray(value) && value.every(isNamedTemplate))
    return new Map(value.map(({ name, template }) => [name, template]))
  throw new ModelError(
    `${configFile}: chat_template: expected a text or a list of {name, template}, got ${show(value)}`,
  )
}

function isNamedTemplate(value: unknown): value is { name: string; template: string } {
  return isFields(value) && typeof value.name === 'string' && typeof value.template === 'string'
}

function noTokenizer(folder: string): string {
  return (
    `${folder} has no tokenizer.json. If it has a tokenizer of another form, convert it where transformers is installed:\n` +
    `  python -c "from transformers import AutoTokenizer as T; T.from_pretrained('${folder}').save_pretrained('${folder}')"`
  )
}
