#!/usr/bin/env node
/** `rlt`: reads the command line, runs one command, turns what happens into an exit code. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import yargs, { type Argv, type CommandModule } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { nearest } from '../config/suggest.js'
import { UsageError } from '../errors.js'
import { packageRoot } from '../packageRoot.js'
import { benchCommand } from './commands/bench.js'
import { convertCommand } from './commands/convert.js'
import { countdownCommand } from './commands/countdown.js'
import { doctorCommand } from './commands/doctor.js'
import { evaluateCommand } from './commands/evaluate.js'
import { explainCommand } from './commands/explain.js'
import { generateCommand } from './commands/generate.js'
import { logprobsCommand } from './commands/logprobs.js'
import { modelsCommand } from './commands/models.js'
import { pipelineCommand } from './commands/pipeline.js'
import { planCommand } from './commands/plan.js'
import { rankCommand } from './commands/rank.js'
import { reportCommand } from './commands/report.js'
import { distillCommand, warmupCommand } from './commands/sft.js'
import { trainCommand } from './commands/train.js'
import { describeFailure, exitCodeOf } from './failure.js'
import { listenForInterrupt } from './interrupt.js'
import { type Command, globalOptions } from './options.js'
import { endQuietlyWhenPipeCloses } from './output.js'

const commands: Command[] = [
  warmupCommand,
  trainCommand,
  explainCommand,
  distillCommand,
  rankCommand,
  evaluateCommand,
  pipelineCommand,
  countdownCommand,
  generateCommand,
  logprobsCommand,
  reportCommand,
  planCommand,
  modelsCommand,
  convertCommand,
  benchCommand,
  doctorCommand,
]

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
  const command = commands.find(({ command }) => nameOf(command) === args[0])
  const parser = globalOptions(yargs(args))
    .scriptName('rlt')
    .usage('$0 <command>\n\nTrains Reinforcement-Learned Teachers: models that learn to explain.')
    .parserConfiguration({ 'greedy-arrays': false, 'dot-notation': false })
    .demandCommand(1, 'Name a command. Start with: rlt train quickstart')
    .strict()
    .version(version())
    .alias({ help: 'h' })
    .group(['help', 'version', 'json', 'verbose'], 'Every command:')
    .wrap(Math.min(110, process.stderr.columns ?? process.stdout.columns ?? 100))
    .exitProcess(false)
    .showHelpOnFail(false)
    .check(argv => refuseRepeated(argv, command), true)
    .fail((message, error) => {
      // An error is a handler's own, but for those of yargs's parser; a message is about what was typed.
      if (error && error.name !== 'YError') throw error
      const help = `See rlt ${command ? `${args[0]} ` : ''}--help`
      throw new UsageError(`${withSuggestion(error?.message ?? message, command)}\n${help}`)
    })
  for (const command of commands) parser.command(command as CommandModule)
  await parser.parseAsync()
}

const nameOf = (command: string) => command.split(' ')[0]!

/** yargs names what is wrong; this adds what was probably meant. */
function withSuggestion(message: string, command: Command | undefined): string {
  const lacking = /^Not enough arguments following: (.*)$/.exec(message)?.[1]
  if (lacking)
    return `--${lacking}: expected a value (one that begins with a hyphen is written --${lacking}=VALUE)`
  const unknown = /^Unknown (?:argument|command)s?: (.*)$/.exec(message)?.[1]
  if (unknown === undefined) return message
  const words = command
    ? optionsOf(command).map(option => `--${option.name}`)
    : commands.map(other => nameOf(other.command))
  const hints = unknown.split(', ').map(word => nearest(command ? `--${word}` : word, words))
  const found = [...new Set(hints.filter(hint => hint !== undefined))]
  return found.length > 0 ? `${message}; did you mean ${found.join(', ')}?` : message
}

interface DeclaredOption {
  name: string
  list: boolean
}

/** The options that a command declares: yargs does not tell, so its builder is asked with a stand-in that listens. */
function optionsOf(command: Command): DeclaredOption[] {
  const options: DeclaredOption[] = [{ name: 'help', list: false }]
  const listener: Argv = new Proxy({} as Argv, {
    get: (_, method) => (name: unknown, details?: { array?: boolean }) => {
      if (method === 'option' && typeof name === 'string')
        options.push({ name, list: details?.array === true })
      return listener
    },
  })
  command.builder(globalOptions(listener))
  return options
}

/** yargs makes a list of an option that is given twice; where one value is expected, that is a mistake. */
function refuseRepeated(argv: Record<string, unknown>, command: Command | undefined): true {
  for (const { name, list } of command ? optionsOf(command) : [])
    if (!list && Array.isArray(argv[name]))
      throw new UsageError(`--${name}: expected once, got it ${argv[name].length} times`)
  return true
}

function version(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version
}

await main()
