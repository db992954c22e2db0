/** What is known of a tokenizer, whether from a folder's files or from GGUF metadata. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ModelError } from '../errors.js'
import { type Fields, isFields, readJsonFileIfPresent, readTextFileIfPresent, show } from './fields.js'
import { readGgufHeader } from './gguf-file.js'
import { surroundingTokens } from './post-processor.js'
import type { ModelFiles } from './source.js'
import { tokenizerFromGguf } from './tokenizer-gguf.js'

export interface TokenizerDescription {
  /** The content of a tokenizer.json: vocabulary, merges, pre-tokenizer, decoder, added tokens. */
  json: TokenizerJson
  /** Roles (bos_token, eos_token, pad_token, unk_token …) to the tokens' texts, as chat templates name them. */
  specialTokens: Record<string, string>
  /** Name to Jinja source; the usual one is `default`. */
  chatTemplates: Map<string, string>
  /** For messages. */
  place: string
}

/** The fields of a tokenizer.json that are used here; whatever else it holds is for the tokenizers library. */
export interface TokenizerJson extends Fields {
  model: { vocab: Record<string, number>; merges?: (string | [string, string])[] } & Fields
  added_tokens: AddedToken[]
}

export interface AddedToken extends Fields {
  id: number
  content: string
  special: boolean
}

export async function describeTokenizer(files: ModelFiles): Promise<TokenizerDescription> {
  return files.kind === 'gguf'
    ? tokenizerFromGguf(await readGgufHeader(files.file))
    : tokenizerFromFolder(files.folder)
}

/** A token that is matched as a whole wherever its text occurs. */
export function addedToken(id: number, content: string, special: boolean): AddedToken {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }
}

/** Folder beside chat_template.jinja with further templates, one a file. */
export const furtherTemplates = 'additional_chat_templates'

const roles = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

async function tokenizerFromFolder(folder: string): Promise<TokenizerDescription> {
  const file = join(folder, 'tokenizer.json')
  const configFile = join(folder, 'tokenizer_config.json')
  const json = checkTokenizerJson(await readJsonFileIfPresent(file), file, folder)
  const config = (await readJsonFileIfPresent(configFile)) ?? {}
  const map = (await readJsonFileIfPresent(join(folder, 'special_tokens_map.json'))) ?? {}
  const specialTokens = Object.fromEntries(
    roles.flatMap(role => {
      const text = tokenText(config[role] ?? map[role])
      return text === undefined ? [] : [[role, text]]
    }),
  )
  const further = config.additional_special_tokens ?? map.additional_special_tokens
  const furtherTexts = Array.isArray(further) ? further.map(tokenText) : []
  const complete = withAddedTokens(json, config, [...Object.values(specialTokens), ...furtherTexts])
  return {
    json: withSurroundingTokens(complete, config, specialTokens),
    specialTokens,
    chatTemplates: await readChatTemplates(folder, config, configFile),
    place: file,
  }
}

function checkTokenizerJson(json: Fields | undefined, file: string, folder: string): TokenizerJson {
  if (!json) throw new ModelError(noTokenizer(folder))
  const { model, added_tokens: added = [] } = json
  if (!isFields(model)) throw new ModelError(`${file}: model: expected an object, got ${show(model)}`)
  if ((model.type ?? 'BPE') !== 'BPE')
    throw new ModelError(`${file}: model.type: ${show(model.type)} is not supported; expected BPE`)
  if (!isFields(model.vocab) || !Object.values(model.vocab).every(Number.isSafeInteger))
    throw new ModelError(
      `${file}: model.vocab: expected an object of token ids by text, got ${show(model.vocab)}`,
    )
  if (!Array.isArray(added) || !added.every(isAddedToken))
    throw new ModelError(`${file}: added_tokens: expected a list of {id, content, …}, got ${show(added)}`)
  return { ...json, model, added_tokens: added } as TokenizerJson
}

function isAddedToken(value: unknown): boolean {
  return isFields(value) && Number.isSafeInteger(value.id) && typeof value.content === 'string'
}

function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return isFields(value) && typeof value.content === 'string' ? value.content : undefined
}

/**
 * As transformers does: tokens that only tokenizer_config.json lists are added, and a token of the vocabulary with a
 * role is special even if tokenizer.json does not say so.
 */
function withAddedTokens(
  json: TokenizerJson,
  config: Fields,
  special: (string | undefined)[],
): TokenizerJson {
  const byText = new Map(json.added_tokens.map(token => [token.content, token]))
  const ids = new Set(json.added_tokens.map(({ id }) => id))
  const listed = isFields(config.added_tokens_decoder) ? config.added_tokens_decoder : {}
  for (const [key, token] of Object.entries(listed)) {
    const id = Number(key)
    const text = tokenText(token)
    if (text === undefined || ids.has(id) || byText.has(text)) continue
    byText.set(text, { ...addedToken(id, text, false), ...(token as Fields), id } as AddedToken)
  }
  for (const text of special) {
    const id = text === undefined ? undefined : json.model.vocab[text]
    if (id !== undefined && !byText.has(text!)) byText.set(text!, addedToken(id, text!, true))
  }
  return { ...json, added_tokens: [...byText.values()].sort((a, b) => a.id - b.id) }
}

/** As transformers does: where tokenizer_config.json says what to add to a text, it counts, not tokenizer.json. */
function withSurroundingTokens(
  json: TokenizerJson,
  config: Fields,
  specialTokens: Record<string, string>,
): TokenizerJson {
  if (config.add_bos_token === undefined && config.add_eos_token === undefined) return json
  const wanted = (role: 'bos' | 'eos') => {
    const text = config[`add_${role}_token`] === true ? specialTokens[`${role}_token`] : undefined
    if (text === undefined) return undefined
    const id = json.added_tokens.find(token => token.content === text)?.id ?? json.model.vocab[text]
    return id === undefined ? undefined : { id, text }
  }
  return { ...json, post_processor: surroundingTokens(wanted('bos'), wanted('eos')) }
}

async function readChatTemplates(
  folder: string,
  config: Fields,
  configFile: string,
): Promise<Map<string, string>> {
  const templates = namedTemplates(config.chat_template, configFile)
  const file = await readTextFileIfPresent(join(folder, 'chat_template.jinja'))
  if (file !== undefined) templates.set('default', file)
  for (const name of await readdir(join(folder, furtherTemplates)).catch(() => [])) {
    if (!name.endsWith('.jinja')) continue
    const source = await readTextFileIfPresent(join(folder, furtherTemplates, name))
    if (source !== undefined) templates.set(name.slice(0, -'.jinja'.length), source)
  }
  return templates
}

function namedTemplates(value: unknown, configFile: string): Map<string, string> {
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
