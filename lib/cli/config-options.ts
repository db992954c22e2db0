/** What the commands that run a stage have in common: a configuration that can be changed, shown and explained. */
import type { Argv } from 'yargs'
import type { ConfigKind } from '../config/index.js'
import type { ModelArguments } from './options.js'
import { writeJsonLine, writeOut } from './output.js'

export interface ConfigArguments {
  set: string[] | undefined
  check: boolean
  options: boolean
}

export function setOption<T>(yargs: Argv<T>) {
  return yargs.option('set', {
    type: 'string',
    nargs: 1,
    array: true,
    describe: 'Change an option: path.to.option=value, the value as in YAML (can be given several times)',
  })
}

export function configOptions<T>(yargs: Argv<T>) {
  return setOption(yargs)
    .option('check', {
      type: 'boolean',
      default: false,
      describe: 'Print the complete configuration and end; nothing is loaded',
    })
    .option('options', {
      type: 'boolean',
      default: false,
      describe: 'Print every option of a configuration and end',
    })
}

export async function printConfig(config: object, json: boolean): Promise<void> {
  if (json) return writeJsonLine(config)
  const { formatConfig } = await import('../config/index.js')
  await writeOut(formatConfig(config))
}

export async function printOptions<T>(kind: ConfigKind<T>): Promise<void> {
  const { describeOptions } = await import('../config/index.js')
  for (const { path, expected, description, default: value } of describeOptions(kind)) {
    const standard = value === undefined ? '' : `, ${JSON.stringify(value)} by default`
    await writeOut(`${path}\n    ${description}${description ? '\n    ' : ''}${expected}${standard}\n`)
  }
}

interface ModelConfig {
  teacher: { dtype: 'auto' | 'float32' | 'bfloat16' } | null
  students: { dtype: 'auto' | 'float32' | 'bfloat16' }[]
  device: 'auto' | 'cpu' | 'cuda'
  threads: number
}

/** --dtype, --device and --threads say for all models what the configuration says for each. */
export function withModelArguments<T extends ModelConfig>(
  config: T,
  { dtype, device, threads }: ModelArguments,
): T {
  return {
    ...config,
    teacher: config.teacher && { ...config.teacher, dtype: dtype ?? config.teacher.dtype },
    students: config.students.map(student => ({ ...student, dtype: dtype ?? student.dtype })),
    device: device ?? config.device,
    threads: threads ?? config.threads,
  }
}
