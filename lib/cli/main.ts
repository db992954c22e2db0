#!/usr/bin/env node
/** `rlt`: reads the command line, runs one command, turns what happens into an exit code. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import yargs, { type CommandModule } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { nearest } from '../config/suggest.js'
import { UsageError } from '../errors.js'
import { packageRoot } from '../packageRoot.js'
import * as generate from './commands/generate.js'
import * as logprobs from './commands/logprobs.js'
import * as report from './commands/report.js'
import * as train from './commands/train.js'
import { describeFailure, exitCodeOf } from './failure.js'
import { listenForInterrupt } from './interrupt.js'
import { type Command, globalOptions } from './options.js'
import { endQuietlyWhenPipeCloses } from './output.js'

const commands: Command[] = [train, generate, logprobs, report]

async function main(): Promise<void> {
  listenForInterrupt()
  endQuietlyWhenPipeCloses()
  const args = hideBin(process.argv)
  try {
    await run(args)
  } catch (error) {
    process.stderr.write(describeFailure(error, args.includes('--verbose')))
    process.exitCode = exitCodeOf(error)
  }
}

async function run(args: string[]): Promise<void> {
  const parser = globalOptions(yargs(args))
    .scriptName('rlt')
    .usage('$0 <command>\n\nTrains Reinforcement-Learned Teachers: models that learn to explain.')
    .parserConfiguration({
      'greedy-arrays': false,
      'dot-notation': false,
      'duplicate-arguments-array': false,
    })
    .demandCommand(1, 'Name a command. Start with: rlt train quickstart')
    .strict()
    .version(version())
    .alias({ help: 'h' })
    .wrap(Math.min(110, process.stderr.columns ?? process.stdout.columns ?? 100))
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error, failed) => {
      // An error is a handler's own; a message is yargs's about what was typed.
      if (error) throw error
      throw new UsageError(
        `${withSuggestion(message, failed)}\nSee rlt ${args[0]?.startsWith('-') ? '' : args[0]} --help`,
      )
    })
  for (const command of commands) parser.command(command as CommandModule)
  await parser.parseAsync()
}

/** yargs names unknown words; this adds the known one that was probably meant. */
function withSuggestion(message: string, parser: unknown): string {
  const unknown = /^Unknown (argument|command)s?: (.*)$/.exec(message)
  if (!unknown) return message
  const options = Object.keys(
    (parser as { getOptions?(): { key: Record<string, unknown> } }).getOptions?.().key ?? {},
  )
  const known = [
    ...options.filter(option => option.length > 1),
    ...commands.map(({ command }) => String(command).split(' ')[0]!),
  ]
  const hints = unknown[2]!.split(', ').flatMap(word => {
    const meant = nearest(word, known)
    return meant === undefined || meant === word ? [] : [options.includes(meant) ? `--${meant}` : meant]
  })
  return hints.length > 0 ? `${message}; did you mean ${hints.join(', ')}?` : message
}

function version(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version
}

await main()
