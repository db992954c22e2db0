import type { Argv } from 'yargs'
import type { PipelineEvent, StageSummary } from '../../stages/pipeline.js'
import { BatchView } from '../batch-view.js'
import { checkNumber } from '../checks.js'
import { announceInterruptWith, interrupted } from '../interrupt.js'
import { type Command, type GlobalArguments, type ModelArguments, modelOptions } from '../options.js'
import { log, writeJsonLine, writeOut } from '../output.js'

interface Arguments extends GlobalArguments, ModelArguments {
  config: string
  set: string[] | undefined
  'dry-run': boolean
  only: string | undefined
  from: string | undefined
}

export const pipelineCommand: Command<Arguments> = {
  command: 'pipeline <config>',
  describe: 'Run all stages of a training from one file, each as far as it is not done yet',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return modelOptions(yargs)
    .positional('config', { type: 'string', describe: 'A YAML file: folder, and stages by name' })
    .option('dry-run', {
      type: 'boolean',
      default: false,
      describe: 'Say what would be run, gone on with or skipped, and why, and end; no model is loaded',
    })
    .option('only', { type: 'string', nargs: 1, describe: 'Run only the stage of this name' })
    .option('from', {
      type: 'string',
      nargs: 1,
      conflicts: 'only',
      describe: 'Run the stage of this name again, and all that depend on it',
    })
    .option('set', {
      type: 'string',
      nargs: 1,
      array: true,
      describe: 'Change an option: stages.NAME.config.path.to.option=value (can be given several times)',
    })
    .epilogue(
      'What is complete and unchanged is skipped, what was stopped goes on: give the same command again. A stage whose ' +
        'configuration or inputs changed is run again, as are those that depend on it; what it had written is kept as ' +
        'NAME.previous.',
    )
    .example('$0 pipeline examples/pipeline/quickstart.yaml --dry-run', '')
    .example('$0 pipeline my.yaml --set stages.train.config.training.steps=200', '')
}

async function handler(args: Arguments): Promise<void> {
  const { loadPipeline, planPipeline, runPipeline, withModelOptions } = await import(
    '../../stages/pipeline.js'
  )
  checkNumber('threads', args.threads, { integer: true, min: 1 })
  const pipeline = withModelOptions(await loadPipeline(args.config, args.set), args)
  const { only, from } = args
  if (args['dry-run']) {
    const stages = await planPipeline(pipeline, { only, from, signal: interrupted })
    if (args.json) return writeJsonLine({ folder: pipeline.folder, stages })
    return writeOut(planText(stages))
  }
  const view = new PipelineView()
  announceInterruptWith(text => view.message(text))
  const result = await runPipeline(pipeline, {
    ...{ only, from, signal: interrupted },
    onEvent: event => view.event(event),
  }).finally(() => view.close())
  if (args.json) return writeJsonLine(result)
  await writeOut(await costTable(result.stages))
  log(
    result.finished
      ? `Finished: ${result.folder}`
      : 'Stopped. What is done is saved: the same command goes on.',
  )
}

class PipelineView {
  private batches: BatchView | undefined

  event(event: PipelineEvent): void {
    switch (event.type) {
      case 'start':
        this.close()
        log(`${event.name}: ${event.stage}, ${words[event.action]} (${event.reason})`)
        break
      case 'progress':
        this.batches ??= new BatchView(event.unit)
        this.batches.batch({ ...event, value: event.meanReward })
        break
      case 'message':
        this.message(event.text)
        break
      case 'finish':
        this.close()
        break
      case 'plan':
        for (const { name, action, reason } of event.stages)
          if (action === 'skip') log(`${name}: skipped (${reason})`)
    }
  }

  message(text: string): void {
    if (this.batches) this.batches.message(text)
    else log(text)
  }

  close(): void {
    this.batches?.close()
    this.batches = undefined
  }
}

const words = { run: 'from its beginning', resume: 'gone on with', skip: 'skipped' }

function planText(stages: readonly StageSummary[]): string {
  return columns(stages.map(({ name, stage, action, reason }) => [name, stage, action, reason]))
}

/** What each stage cost, whenever it ran. */
async function costTable(stages: readonly StageSummary[]): Promise<string> {
  const { formatBytes, formatSeconds } = await import('../../report/text.js')
  const whole = (value: number) => value.toLocaleString('en')
  const head = ['', 'stage', '', 'time', 'sampled', 'scored', 'trained', 'peak memory']
  const rows = stages.map(({ name, stage, action, complete, cost }) => {
    const state = !complete ? 'not complete' : action === 'skip' ? 'skipped' : 'done'
    if (cost === null) return [name, stage, state]
    const { sampled, scored, trained } = cost.tokens
    return [
      ...[name, stage, state, formatSeconds(cost.seconds)],
      ...[sampled, scored, trained].map(whole),
      formatBytes(cost.peakMemoryBytes),
    ]
  })
  return `${columns([head, ...rows])}Tokens: sampled without prompts, scored and trained on with them.\n`
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows
    .map(
      row =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}
