import type { Argv } from 'yargs'
import type { TrainConfig } from '../../config/index.js'
import { UsageError } from '../../errors.js'
import { checkNumber } from '../checks.js'
import {
  type ConfigArguments,
  configOptions,
  printConfig,
  printOptions,
  withModelArguments,
} from '../config-options.js'
import { announceInterruptWith, interrupted } from '../interrupt.js'
import { type Command, type GlobalArguments, type ModelArguments, modelOptions } from '../options.js'
import { log, writeJsonLine } from '../output.js'

interface Arguments extends GlobalArguments, ModelArguments, ConfigArguments {
  config: string | undefined
  resume: string | undefined
}

export const trainCommand: Command<Arguments> = {
  command: 'train [config]',
  describe: 'Train a teacher by reinforcement learning with the teacher reward',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return configOptions(modelOptions(yargs))
    .positional('config', { type: 'string', describe: 'A preset (quickstart, paper-7b) or a YAML file' })
    .option('resume', {
      type: 'string',
      nargs: 1,
      conflicts: 'config',
      describe: 'Go on with the run in this folder from its latest checkpoint',
    })
    .example('$0 train quickstart', 'a small model, a few minutes on a laptop')
    .example('$0 train my.yaml --set training.steps=200', '')
    .example('$0 train --resume runs/quickstart', '')
}

async function handler(args: Arguments): Promise<void> {
  if (args.options) return printOptions((await import('../../config/index.js')).trainKind)
  checkNumber('threads', args.threads, { integer: true, min: 1 })
  const config = await readConfig(args)
  if (args.check) return printConfig(config, args.json)
  await runTraining(config, args)
}

async function readConfig(args: Arguments): Promise<TrainConfig> {
  const { loadConfig, loadRunConfig, trainKind } = await import('../../config/index.js')
  const sets = args.set ?? []
  if (args.resume !== undefined) {
    if (args.dtype !== undefined)
      throw new UsageError('--dtype cannot be changed with --resume: the run would not be the same')
    return withModelArguments(await loadRunConfig(trainKind, args.resume, sets), args)
  }
  if (args.config === undefined) throw new UsageError(await whatToType())
  const { config } = await loadConfig(trainKind, args.config, sets)
  return withModelArguments(config, args)
}

async function whatToType(): Promise<string> {
  const { presetNames, trainKind } = await import('../../config/index.js')
  return [
    'What should be trained? Type one of',
    '  rlt train quickstart           a small model on a small data set: minutes on a laptop',
    '  rlt train my.yaml              your own configuration; it can begin with `preset: quickstart`',
    '  rlt train --resume runs/name   to go on with a run',
    `Presets: ${(await presetNames(trainKind)).join(', ')}. Every option: rlt train --options`,
  ].join('\n')
}

async function runTraining(config: TrainConfig, { json, resume }: Arguments): Promise<void> {
  const [{ train }, { createTerminalView, writeReport }] = await Promise.all([
    import('../../stages/train.js'),
    import('../../report/index.js'),
  ])
  const view = createTerminalView(config.training.steps)
  announceInterruptWith(text => view.event({ type: 'message', level: 'info', text }))
  let result: Awaited<ReturnType<typeof train>>
  try {
    result = await train(config, {
      signal: interrupted,
      onStep: row => view.step(row),
      onEvent: event => view.event(event),
      resume: resume !== undefined,
    })
  } finally {
    view.close()
  }
  const report = await writeReport(result.folder)
  if (json) return writeJsonLine({ ...result, report })
  log(result.finished ? `Finished. The teacher: ${result.checkpoint}` : stopped(result, config))
  log(`The report: ${report}`)
}

function stopped({ step, folder }: { step: number; folder: string }, { training }: TrainConfig): string {
  const saved =
    step === 0
      ? 'Stopped before the first step was finished.'
      : `Stopped after step ${step} of ${training.steps}, which is saved.`
  return `${saved}\nGo on with: rlt train --resume ${folder}`
}
