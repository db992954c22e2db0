import { extname } from 'node:path'
import type { Argv } from 'yargs'
import { UsageError } from '../../errors.js'
import type { RankResult } from '../../stages/rank.js'
import { BatchView } from '../batch-view.js'
import { checkNumber } from '../checks.js'
import {
  type ConfigArguments,
  configOptions,
  printConfig,
  printOptions,
  withModelArguments,
} from '../config-options.js'
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
  source: string | undefined
  teacher: string | undefined
  student: string[] | undefined
  output: string | undefined
  top: number | undefined
  partitions: number | undefined
  split: boolean | undefined
  order: 'input' | 'reward' | undefined
  histogram: string | undefined
}

export const rankCommand: Command<Arguments> = {
  command: 'rank [source]',
  describe: 'Score and rank the explanations of a data set by the teacher reward',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return configOptions(modelOptions(yargs))
    .positional('source', {
      type: 'string',
      describe:
        'Data with the columns question, solution and explanation or reasoning_trace (.jsonl, .json, .csv, .parquet), ' +
        'or a YAML file with a configuration',
    })
    .option('teacher', { type: 'string', nargs: 1, describe: modelDescription })
    .option('student', {
      type: 'string',
      nargs: 1,
      array: true,
      describe:
        'A model that judges, named like the teacher (can be given several times); teacher is the teacher itself',
    })
    .option('output', { type: 'string', nargs: 1, describe: 'The file to write: .jsonl or .parquet' })
    .option('top', { type: 'number', describe: 'Keep only so many rows, those with the highest reward' })
    .option('partitions', {
      type: 'number',
      describe: 'Number parts of equal size by rank, 1 being the best',
    })
    .option('split', { type: 'boolean', describe: 'Write a file for each partition' })
    .option('order', {
      choices: ['input', 'reward'] as const,
      describe: 'Order of the output; that of the input by default',
    })
    .option('histogram', { type: 'string', nargs: 1, describe: 'Draw the rewards into this .svg or .html' })
    .epilogue(
      'With --json and no --output, each row is printed with reward, its parts and rank added. Rewards are kept in a ' +
        'cache by the content of rows: nothing is scored twice, and a command that was stopped goes on when it is ' +
        'started again.',
    )
    .example(
      '$0 rank traces.jsonl --teacher runs/mine/checkpoints/step-100 --student Qwen/Qwen2.5-0.5B-Instruct --json',
      '',
    )
    .example('$0 rank rank.yaml --top 1000 --output best.parquet --histogram rewards.svg', '')
}

async function handler(args: Arguments): Promise<void> {
  const { loadConfig, rankKind } = await import('../../config/index.js')
  if (args.options) return printOptions(rankKind)
  for (const option of ['threads', 'top', 'partitions'] as const)
    checkNumber(option, args[option], { integer: true, min: 1 })
  if (args.source === undefined && args.set === undefined)
    throw new UsageError(
      'What should be ranked? Expected a data file or a configuration: rlt rank traces.jsonl …',
    )
  const isConfig = args.source === undefined || !dataExtensions.includes(extname(args.source).toLowerCase())
  const sets = [...optionsAsSets(args, isConfig ? undefined : args.source), ...(args.set ?? [])]
  const { config: written } = await loadConfig(rankKind, isConfig ? args.source : undefined, sets)
  const config = withModelArguments(written, args)
  if (args.check) return printConfig(config, args.json)

  const { rank } = await import('../../stages/rank.js')
  const view = new BatchView('rows')
  announceInterruptWith(text => view.message(text))
  const result = await rank(config, {
    signal: interrupted,
    onEvent: event => {
      if (event.type === 'message') view.message(event.text)
      else view.batch({ done: event.rows, total: event.totalRows, value: event.meanReward })
    },
    ...(args.json && config.output.path === null
      ? {
          onRow: row => {
            view.close()
            return writeJsonLine(row)
          },
        }
      : {}),
  }).finally(() => view.close())
  await print(result, config.output.path !== null, args.json)
}

const dataExtensions = ['.jsonl', '.ndjson', '.json', '.csv', '.parquet']

/** What was typed as options, in the words of the configuration. */
function optionsAsSets(args: Arguments, data: string | undefined): string[] {
  const values: [string, unknown][] = [
    ['data.path', data],
    ['teacher.model', args.teacher],
    ['students', args.student?.map(model => ({ model }))],
    ['output.path', args.output],
    ['output.split', args.split],
    ['output.histogram', args.histogram],
    ['top', args.top],
    ['partitions', args.partitions],
    ['order', args.order],
  ]
  return values.flatMap(([path, value]) => (value === undefined ? [] : [`${path}=${JSON.stringify(value)}`]))
}

async function print(
  { allRewards, ...result }: RankResult,
  isWritten: boolean,
  json: boolean,
): Promise<void> {
  const { rows, failed, rewards, output, histogram, finished } = result
  if (!finished) log('Stopped. What was scored is kept: the same command goes on.')
  if (json) return isWritten || !finished ? writeJsonLine(result) : undefined
  if (!finished) return
  if (rewards !== null) {
    const { histogramText, formatNumber } = await import('../../report/index.js')
    await writeOut(histogramText(allRewards))
    const figures = Object.entries(rewards).map(([name, value]) => `${words(name)} ${formatNumber(value)}`)
    log(`${rows - failed} rows: ${figures.join(', ')}`)
  }
  if (failed > 0) log(`${failed} rows have no reward: the field failure says why`)
  for (const file of [...output, ...(histogram === null ? [] : [histogram])]) log(`Written: ${file}`)
  if (!isWritten) log('For the rows, add --output FILE.jsonl, or --json')
}

/** firstQuartile → first quartile */
const words = (name: string) => name.replaceAll(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`)
