import type { Argv } from 'yargs'
import type { Command, GlobalArguments } from '../options.js'
import { log, writeJsonLine } from '../output.js'

interface Arguments extends GlobalArguments {
  run: string
}

export const reportCommand: Command<Arguments> = {
  command: 'report <run>',
  describe: 'Write report.html of a run: its curves, some explanations, its configuration',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return yargs
    .positional('run', { type: 'string', demandOption: true, describe: 'A run folder, finished or not' })
    .example('$0 report runs/quickstart', 'writes runs/quickstart/report.html')
}

async function handler({ run, json }: Arguments): Promise<void> {
  const { writeReport } = await import('../../report/index.js')
  const file = await writeReport(run)
  if (json) await writeJsonLine({ report: file })
  else log(`Written: ${file}`)
}
