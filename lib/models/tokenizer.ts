import { createHash } from 'node:crypto'
import { ModelError } from '../errors.js'
import { type ChatMessage, ChatTemplate, type ChatVariables } from './chat-template.js'
import { createDecoder, Encoder } from './encoder.js'
import type { ModelFiles } from './source.js'
import { describeTokenizer, type TokenizerDescription, type TokenizerJson } from './tokenizer-files.js'

export type { ChatMessage, ChatVariables } from './chat-template.js'

type Tokens = ArrayLike<number>

export interface DecodeStream {
  /** The text that this token completes; empty while a character is incomplete. */
  push(token: number): string
  /** What is still held back, with U+FFFD for bytes that make no character. */
  end(): string
}

/** Text to tokens and back, exactly as transformers does it. */
export class Tokenizer {
  /** Ids are below this. A model's own vocabulary may be larger: padded. */
  readonly vocabularySize: number
  readonly beginningOfSequenceToken?: number
  readonly endOfSequenceToken?: number
  readonly padToken?: number
  /** Text to id of the tokens that `skipSpecialTokens` leaves out. */
  readonly specialTokens: Map<string, number>
  /** Whether there is a chat template. */
  readonly hasChatTemplate: boolean

  private readonly texts: (string | undefined)[]
  private readonly decodeTexts: (tokens: string[]) => string
  private knownFingerprint: string | undefined
  private readonly templates = new Map<string, ChatTemplate>()

  private constructor(
    private readonly description: TokenizerDescription,
    private readonly encoder: Encoder,
  ) {
    const { json, specialTokens } = description
    const ids = idsOf(json)
    this.texts = []
    for (const [text, id] of ids) this.texts[id] = text
    this.vocabularySize = this.texts.length
    this.specialTokens = new Map(
      json.added_tokens.flatMap(({ special, content, id }) => (special ? [[content, id]] : [])),
    )
    const role = (name: string) => ids.get(specialTokens[name] ?? '')
    this.beginningOfSequenceToken = role('bos_token')
    this.endOfSequenceToken = role('eos_token')
    this.padToken = role('pad_token')
    this.hasChatTemplate = description.chatTemplates.size > 0
    this.decodeTexts = createDecoder(json)
  }

  /** @throws {ModelError} when the files hold no tokenizer, or one of an unsupported kind */
  static async load(files: ModelFiles): Promise<Tokenizer> {
    const description = await describeTokenizer(files)
    const json = JSON.stringify({ ...description.json, truncation: null, padding: null })
    return new Tokenizer(description, await Encoder.load(json))
  }

  /** SHA-256 of vocabulary and merges: two models with equal fingerprints share a tokenizer. */
  get fingerprint(): string {
    this.knownFingerprint ??= fingerprint(this.description.json)
    return this.knownFingerprint
  }

  /**
   * Special tokens that are written in the text are recognised. `addSpecialTokens` puts those before and after that the
   * model wants around a text, such as the beginning of a sequence.
   */
  encode(text: string, { addSpecialTokens = false }: { addSpecialTokens?: boolean } = {}): Int32Array {
    return this.encoder.encode(text, { addSpecialTokens, withOffsets: false }).tokens
  }

  /** `offsets` holds a [start, end] pair for each token, in UTF-16 units of `text`. */
  encodeWithOffsets(text: string): { tokens: Int32Array; offsets: Int32Array } {
    const { tokens, offsets } = this.encoder.encode(text, { addSpecialTokens: false, withOffsets: true })
    const starts = codePointStarts(text)
    return { tokens, offsets: starts ? offsets.map(offset => starts[offset]!) : offsets }
  }

  /** Ids that stand for nothing (a padded vocabulary has such) decode to nothing. */
  decode(tokens: Tokens, { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {}): string {
    const texts: string[] = []
    for (let i = 0; i < tokens.length; i++) {
      const text = this.texts[tokens[i]!]
      if (text !== undefined && !(skipSpecialTokens && this.specialTokens.has(text))) texts.push(text)
    }
    return texts.length > 0 ? this.decodeTexts(texts) : ''
  }

  /** For tokens that come one by one: the pieces joined are the text of all of them. */
  decodeStream(options: { skipSpecialTokens?: boolean } = {}): DecodeStream {
    return new PiecewiseDecoder(tokens => this.decode(tokens, options))
  }

  /**
   * The conversation as one text, special tokens included, for `encode`.
   * @throws {ModelError} when the model has no chat template, or its template refuses the messages
   */
  renderChat(messages: readonly ChatMessage[], variables: ChatVariables = {}): string {
    return this.chatTemplate(variables.tools !== undefined).render(
      messages,
      variables,
      this.description.specialTokens,
    )
  }

  /** Of several templates, transformers takes `tool_use` where there are tools. */
  private chatTemplate(withTools: boolean): ChatTemplate {
    const { chatTemplates, place } = this.description
    const name = withTools && chatTemplates.has('tool_use') ? 'tool_use' : 'default'
    const source = chatTemplates.get(name)
    if (source === undefined)
      throw new ModelError(
        `${place}: the model has no chat template; give prompts as text, or take an instruct model`,
      )
    let template = this.templates.get(name)
    if (!template) {
      template = new ChatTemplate(source, place)
      this.templates.set(name, template)
    }
    return template
  }
}

function idsOf({ model, added_tokens: added }: TokenizerJson): Map<string, number> {
  const ids = new Map(Object.entries(model.vocab))
  for (const { content, id } of added) ids.set(content, id)
  return ids
}

function fingerprint(json: TokenizerJson): string {
  const hash = createHash('sha256')
  for (const [text, id] of [...idsOf(json)].sort((a, b) => a[1] - b[1])) hash.update(`${id} ${text}\n`)
  // Older files write a merge as one text, newer ones as two.
  for (const merge of json.model.merges ?? [])
    hash.update(`${typeof merge === 'string' ? merge : merge.join(' ')}\n`)
  return hash.digest('hex')
}

/** UTF-16 position of each code point and of the end; undefined where they are the same. */
function codePointStarts(text: string): Int32Array | undefined {
  const starts: number[] = []
  let position = 0
  for (const character of text) {
    starts.push(position)
    position += character.length
  }
  if (starts.length === text.length) return undefined
  starts.push(position)
  return Int32Array.from(starts)
}

/** No character takes more tokens: what is longer is bytes that make no text, and is let through. */
const longestIncomplete = 16

class PiecewiseDecoder implements DecodeStream {
  /** Tokens already given out that the next ones are decoded after: a decoder may treat the first one differently. */
  private given: number[] = []
  private held: number[] = []

  constructor(private readonly decode: (tokens: number[]) => string) {}

  push(token: number): string {
    this.held.push(token)
    const text = this.pending()
    if (text.endsWith('\uFFFD') && this.held.length < longestIncomplete) return ''
    return this.give(text)
  }

  end(): string {
    return this.held.length > 0 ? this.give(this.pending()) : ''
  }

  private pending(): string {
    return this.decode([...this.given, ...this.held]).slice(this.decode(this.given).length)
  }

  private give(text: string): string {
    this.given = this.held
    this.held = []
    return text
  }
}
