/** Options that several commands share, worded the same everywhere. */
import type { Argv } from 'yargs'

export interface GlobalArguments {
  verbose: boolean
  json: boolean
}

export interface ModelArguments {
  dtype: 'auto' | 'float32' | 'bfloat16' | undefined
  device: 'auto' | 'cpu' | 'cuda' | undefined
  threads: number | undefined
  adapter?: string | undefined
}

/** One command, one file. What is heavy to load is imported in the handler, so that `--help` is quick. */
export interface Command<Arguments = never> {
  /** Its name, then its positionals: `report <run>`. */
  command: string
  describe: string
  builder(yargs: Argv): unknown
  /** Gets what `builder` declares. */
  handler(args: Arguments): Promise<void>
}

export function globalOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('json', { type: 'boolean', default: false, describe: 'Only machine-readable output on stdout' })
    .option('verbose', { type: 'boolean', default: false, describe: 'Stack traces with errors' })
}

/** For commands that load one model. */
export function adapterOption<T>(yargs: Argv<T>) {
  return yargs.option('adapter', {
    type: 'string',
    nargs: 1,
    describe: 'A folder of LoRA adapters of the model, as PEFT writes it',
  })
}

/** For every command that loads a model. */
export function modelOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('dtype', {
      choices: ['auto', 'float32', 'bfloat16'] as const,
      describe: 'Type of the weights; auto takes bfloat16 where this machine is fast at it',
    })
    .option('device', { choices: ['auto', 'cpu', 'cuda'] as const, describe: 'Where the model runs' })
    .option('threads', { type: 'number', describe: 'CPU threads; all by default' })
}

export const modelDescription =
  'A folder of safetensors, a .gguf file, a hub id (org/name[@revision]) or pypi:package'
