import type { Argv } from 'yargs'
import { parseBytes } from '../../bytes.js'
import { UsageError } from '../../errors.js'
import type { Plan } from '../../stages/plan.js'
import { checkNumber } from '../checks.js'
import { type ConfigArguments, setOption } from '../config-options.js'
import type { Command, GlobalArguments } from '../options.js'
import { writeJsonLine, writeOut } from '../output.js'

interface Arguments extends GlobalArguments, Pick<ConfigArguments, 'set'> {
  config: string
  gpus: number
  gpuMemory: string | undefined
  memory: string | undefined
  promptTokens: number
}

export const planCommand: Command<Arguments> = {
  command: 'plan <config>',
  describe: 'What memory a training run needs, part by part, and whether it fits; nothing is loaded',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return setOption(yargs)
    .positional('config', { type: 'string', describe: 'A preset (quickstart, paper-7b) or a YAML file' })
    .option('gpus', { type: 'number', default: 0, describe: 'GPUs that share the run; 0 plans for the CPU' })
    .option('gpu-memory', { type: 'string', nargs: 1, describe: 'Memory of each GPU, such as 80GiB' })
    .option('memory', {
      type: 'string',
      nargs: 1,
      describe: 'CPU memory that the run may take; training.memoryBudget by default, or else what is free',
    })
    .option('prompt-tokens', { type: 'number', default: 256, describe: 'Tokens of a prompt, on average' })
    .epilogue(
      'The plan for several GPUs is what dividing weights, gradients and moments among them comes to. This version ' +
        'itself runs on one device.',
    )
    .example('$0 plan paper-7b --gpus 8 --gpu-memory 80GiB', '')
    .example('$0 plan my.yaml --memory 16GiB', '')
}

async function handler(args: Arguments): Promise<void> {
  checkNumber('gpus', args.gpus, { integer: true, min: 0 })
  checkNumber('prompt-tokens', args.promptTokens, { integer: true, min: 1 })
  if (args.gpus > 0 && args.gpuMemory === undefined)
    throw new UsageError('--gpu-memory: expected the memory of each GPU, such as --gpu-memory 80GiB')
  const [{ loadConfig, trainKind }, { plan }] = await Promise.all([
    import('../../config/index.js'),
    import('../../stages/plan.js'),
  ])
  const { config } = await loadConfig(trainKind, args.config, args.set ?? [])
  const memory =
    args.gpus > 0 ? bytesOf('gpu-memory', args.gpuMemory!) : args.memory && bytesOf('memory', args.memory)
  const result = await plan(config, {
    gpus: args.gpus,
    promptTokens: args.promptTokens,
    ...(memory ? { memoryBytes: memory } : {}),
  })
  if (!result.fits) process.exitCode = 1
  if (args.json) return writeJsonLine(result)
  await writeOut(`${describe(result)}\n`)
}

function bytesOf(option: string, text: string): number {
  const bytes = parseBytes(text)
  if (bytes !== undefined) return bytes
  throw new UsageError(`--${option}: expected an amount of memory such as 80GiB or 16GB, got ${text}`)
}

const names: Record<keyof Plan['parts'], string> = {
  process: 'process, libraries',
  weights: 'weights',
  gradients: 'gradients (fp32)',
  moments: 'moments of AdamW',
  masterWeights: 'master weights, lower halves',
  gatheredLayers: 'layers gathered from all devices',
  activations: 'activations, or',
  keyValueCache: 'keys and values while sampling',
}

function describe(result: Plan): string {
  const { parts, peakBytes, memoryBytes, fits, devices, checkpointing, tokensPerStep, changes } = result
  const size = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`.padStart(12)
  const lines = Object.entries(parts)
    .filter(([, bytes]) => bytes > 0)
    .map(([part, bytes]) => `  ${names[part as keyof typeof names].padEnd(34)}${size(bytes)}`)
  const { prompts, completions } = tokensPerStep
  return [
    devices > 1 ? `On each of ${devices} GPUs:` : 'Memory:',
    ...lines,
    `  ${'peak'.padEnd(34)}${size(peakBytes)}  of ${size(memoryBytes).trim()}`,
    `Activation checkpointing: ${checkpointing}`,
    `Tokens of a step: ${prompts} of prompts, up to ${completions} of completions`,
    ...(fits ? ['It fits.'] : ['It does not fit.', ...advice(changes)]),
    ...(devices > 1
      ? ['This version runs on one device; sharding over several is planned for, not there yet.']
      : []),
  ].join('\n')
}

function advice(changes: Plan['changes']): string[] {
  if (changes.length === 0)
    return ['No option alone makes it fit: take a smaller model, or more or larger devices.']
  return changes.map(({ change, peakBytes }) => `  with ${change}: ${(peakBytes / 2 ** 30).toFixed(2)} GiB`)
}
