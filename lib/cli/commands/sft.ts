/** `rlt warmup` and `rlt distill`: one command with two names for its model. */
import type { Argv } from 'yargs'
import type { DistillConfig, RunKind, SftConfig, WarmupConfig } from '../../config/index.js'
import { UsageError } from '../../errors.js'
import type { SftResult } from '../../stages/sft/finetune.js'
import type { TrainOptions } from '../../stages/shared/run.js'
import { checkNumber } from '../checks.js'
import { type ConfigArguments, configOptions, printConfig, printOptions } from '../config-options.js'
import { announceInterruptWith, interrupted } from '../interrupt.js'
import { type Command, type GlobalArguments, type ModelArguments, modelOptions } from '../options.js'
import { log, writeJsonLine } from '../output.js'

interface Arguments extends GlobalArguments, ModelArguments, ConfigArguments {
  config: string | undefined
  resume: string | undefined
}

type Shared = Omit<SftConfig, 'model'>

interface Stage<Config extends Shared> {
  name: string
  describe: string
  presets: string
  /** Complete command lines after `rlt NAME`, each with what it does. */
  examples: readonly (readonly [string, string])[]
  kind(): Promise<RunKind<Config>>
  run(): Promise<(config: Config, options: TrainOptions) => Promise<SftResult>>
  withDtype(config: Config, dtype: SftConfig['model']['dtype']): Config
}

export const warmupCommand: Command<Arguments> = sftCommand<WarmupConfig>({
  name: 'warmup',
  describe: 'Fine-tune a teacher on reasoning traces in its own format, before reinforcement learning',
  presets: 'quickstart, paper-7b',
  examples: [
    ['quickstart', 'a small model, a minute or two on a laptop'],
    [
      '--set teacher.model=Qwen/Qwen2.5-0.5B-Instruct --set data.train.path=traces.jsonl --set "data.heldOut={rows: 64}"',
      '',
    ],
  ],
  kind: async () => (await import('../../config/index.js')).warmupKind,
  run: async () => (await import('../../stages/warmup.js')).warmup,
  withDtype: (config, dtype) => ({ ...config, teacher: { ...config.teacher, dtype } }),
})

export const distillCommand: Command<Arguments> = sftCommand<DistillConfig>({
  name: 'distill',
  describe: "Fine-tune a student on a teacher's explanations: what rlt explain writes",
  presets: 'quickstart, paper-1k, paper-17k',
  examples: [
    ['quickstart', 'a small model, a minute or two on a laptop'],
    ['paper-17k --set student.model=Qwen/Qwen2.5-0.5B-Instruct --set data.train.path=explanations.jsonl', ''],
  ],
  kind: async () => (await import('../../config/index.js')).distillKind,
  run: async () => (await import('../../stages/distill.js')).distill,
  withDtype: (config, dtype) => ({ ...config, student: { ...config.student, dtype } }),
})

function sftCommand<Config extends Shared>(stage: Stage<Config>): Command<Arguments> {
  return {
    command: `${stage.name} [config]`,
    describe: stage.describe,
    builder: yargs => builder(yargs, stage),
    handler: args => handler(args, stage),
  }
}

function builder<Config extends Shared>(yargs: Argv, { name, presets, examples }: Stage<Config>) {
  const options = configOptions(modelOptions(yargs))
    .positional('config', {
      type: 'string',
      describe: `A preset (${presets}) or a YAML file; without one, --set says everything`,
    })
    .option('resume', {
      type: 'string',
      nargs: 1,
      conflicts: 'config',
      describe: 'Go on with the run in this folder from its latest checkpoint',
    })
  for (const [line, does] of examples) options.example(`$0 ${name} ${line}`, does)
  return options.example(`$0 ${name} --resume runs/${name}`, '')
}

async function handler<Config extends Shared>(args: Arguments, stage: Stage<Config>): Promise<void> {
  if (args.options) return printOptions(await stage.kind())
  checkNumber('threads', args.threads, { integer: true, min: 1 })
  const config = await readConfig(args, stage)
  if (args.check) return printConfig(config, args.json)
  await runStage(config, args, stage)
}

async function readConfig<Config extends Shared>(args: Arguments, stage: Stage<Config>): Promise<Config> {
  const { loadConfig, loadRunConfig, presetNames } = await import('../../config/index.js')
  const kind = await stage.kind()
  const { config: source, resume, set = [], dtype, device, threads } = args
  if (source === undefined && resume === undefined && set.length === 0)
    throw new UsageError(
      `What should be learned? Name a preset (${(await presetNames(kind)).join(', ')}), a YAML file, or options with ` +
        `--set. Every option: rlt ${stage.name} --options`,
    )
  if (resume !== undefined && dtype !== undefined)
    throw new UsageError('--dtype cannot be changed with --resume: the run would not be the same')
  const written =
    resume === undefined
      ? (await loadConfig(kind, source, set)).config
      : await loadRunConfig(kind, resume, set)
  const config = dtype === undefined ? written : stage.withDtype(written, dtype)
  return { ...config, device: device ?? config.device, threads: threads ?? config.threads }
}

async function runStage<Config extends Shared>(
  config: Config,
  { json, resume }: Arguments,
  stage: Stage<Config>,
): Promise<void> {
  const [run, { createTerminalView, writeReport }] = await Promise.all([
    stage.run(),
    import('../../report/index.js'),
  ])
  const view = createTerminalView(config.training.steps ?? 0)
  announceInterruptWith(text => view.event({ type: 'message', level: 'info', text }))
  const result = await run(config, {
    signal: interrupted,
    onStep: row => view.step(row),
    onEvent: event => view.event(event),
    resume: resume !== undefined,
  }).finally(() => view.close())
  const report = await writeReport(result.folder)
  if (json) return writeJsonLine({ ...result, report })
  log(result.finished ? finished(result) : stopped(result, stage.name))
  log(`The report: ${report}`)
}

function finished({ model, modelStep, steps, heldOutLoss }: SftResult): string {
  const from = modelStep === steps ? '' : ` (of step ${modelStep}, where the held-out loss was lowest)`
  const loss =
    heldOutLoss === undefined
      ? ''
      : `\nHeld-out loss: ${heldOutLoss.before.toFixed(4)} before, ${heldOutLoss.after.toFixed(4)} after`
  return `Finished. The model: ${model}${from}${loss}`
}

function stopped({ step, steps, folder }: SftResult, command: string): string {
  const saved =
    step === 0
      ? 'Stopped before the first step was finished.'
      : `Stopped after step ${step}${steps === undefined ? '' : ` of ${steps}`}, which is saved.`
  return `${saved}\nGo on with: rlt ${command} --resume ${folder}`
}
