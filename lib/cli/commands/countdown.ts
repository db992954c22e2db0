import { resolve } from 'node:path'
import type { Argv } from 'yargs'
import { UsageError } from '../../errors.js'
import { checkNumber } from '../checks.js'
import { interrupted } from '../interrupt.js'
import type { Command, GlobalArguments } from '../options.js'
import { log, writeJsonLine } from '../output.js'

interface Arguments extends GlobalArguments {
  count: number
  skip: number
  seed: number
  output: string | undefined
  numbers: string
  largestNumber: number
  largestTarget: number
}

export const countdownCommand: Command<Arguments> = {
  command: 'countdown',
  describe: 'Make countdown problems with worked solutions: from given numbers, reach a target',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return yargs
    .option('count', { type: 'number', default: 1000, describe: 'Problems' })
    .option('skip', {
      type: 'number',
      default: 0,
      describe: 'Problems of the seed to leave out at the start, for others than were trained on',
    })
    .option('seed', { type: 'number', default: 0, describe: 'Decides all problems' })
    .option('output', {
      type: 'string',
      nargs: 1,
      describe: 'The file to write: .jsonl or .parquet; without it, lines on standard output',
    })
    .option('numbers', {
      type: 'string',
      nargs: 1,
      default: '3-6',
      describe: 'Numbers of a problem: 4, or 3-6',
    })
    .option('largest-number', { type: 'number', default: 99, describe: 'Numbers are 1 to this' })
    .option('largest-target', { type: 'number', default: 999, describe: 'Targets are 1 to this' })
    .epilogue(
      'Rows have question, solution, answer, numbers and target. rlt train, explain and evaluate read them; evaluate ' +
        'accepts any expression that uses each number once and comes to the target.',
    )
    .example('$0 countdown --count 1000 --seed 1 --output countdown.jsonl', '')
}

async function handler(args: Arguments): Promise<void> {
  checkNumber('count', args.count, { integer: true, min: 1 })
  checkNumber('skip', args.skip, { integer: true, min: 0 })
  checkNumber('seed', args.seed, { integer: true, min: 0, max: 0xffffffff })
  const [, fewest, most] = /^(\d+)(?:-(\d+))?$/.exec(args.numbers) ?? []
  if (fewest === undefined) throw new UsageError(`--numbers: expected 4, or 3-6, got ${args.numbers}`)
  const options = {
    fewestNumbers: Number(fewest),
    mostNumbers: Number(most ?? fewest),
    largestNumber: args.largestNumber,
    largestTarget: args.largestTarget,
  }
  const { countdownProblem } = await import('../../countdown/index.js')
  const problemAt = (i: number) => {
    interrupted.throwIfAborted()
    return countdownProblem(args.seed, args.skip + i, options)
  }
  if (args.output === undefined) {
    for (let i = 0; i < args.count; i++) await writeJsonLine(problemAt(i))
    return
  }
  const { createRowWriter } = await import('../../data/index.js')
  const output = resolve(args.output)
  problemAt(0)
  const writer = await createRowWriter(output, {
    ...{ question: 'text', solution: 'text', answer: 'text', numbers: 'json', target: 'integer' },
  })
  try {
    for (let i = 0; i < args.count; i++) {
      await writer.write([{ ...problemAt(i) }])
      if (i % 256 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await writer.finish()
  } catch (error) {
    await writer.abandon()
    throw error
  }
  if (args.json) return writeJsonLine({ output, problems: args.count })
  log(`${args.count} problems: ${output}`)
}
