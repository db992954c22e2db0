/** How byte-level BPE tokenizers cut text before merging, by the name that GGUF files give it (tokenizer.ggml.pre). */
import type { Fields } from './fields.js'

export interface PreTokenizer {
  steps: Fields[]
  /** Qwen normalises to NFC. */
  normalizer?: Fields
  /** Llama 3 takes a word that is in the vocabulary as it is, whatever the merges make of it. */
  ignoreMerges?: boolean
  /** Whether texts begin with a beginning-of-sequence token where the file does not say. */
  addsBeginning?: boolean
}

const isolate = (pattern: string) => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
})

export const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const words = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+'
const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

const digitByDigit: PreTokenizer = {
  steps: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
}

const qwen: PreTokenizer = {
  steps: [isolate(`${contractions}|${words}|\\p{N}|${rest}`), byteLevel(false)],
  normalizer: { type: 'NFC' },
}

const llama3: PreTokenizer = {
  steps: [isolate(`${contractions}|${words}|\\p{N}{1,3}|${rest}`), byteLevel(false)],
  ignoreMerges: true,
  addsBeginning: true,
}

/** What llama.cpp does where a file names nothing: files from before there were names. */
const unnamed: PreTokenizer = {
  steps: [
    isolate('[\\p{P}\\$\\+<=>\\^~\\|]+'),
    isolate(gpt2),
    isolate('\\p{N}+'),
    isolate('[0-9][0-9][0-9]'),
    byteLevel(false),
  ],
}

export const preTokenizers: Record<string, PreTokenizer> = {
  default: unnamed,
  'gpt-2': { steps: [byteLevel(true)] },
  smollm: digitByDigit,
  starcoder: digitByDigit,
  refact: digitByDigit,
  codeshell: digitByDigit,
  qwen2: qwen,
  'deepseek-r1-qwen': qwen,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3: llama3,
}
