import type { Argv } from 'yargs'
import type { GlobalArguments } from '../options.js'
import { log, writeJsonLine } from '../output.js'

export const command = 'report <run>'
export const describe = 'Write report.html of a run: its curves, some explanations, its configuration'

interface Arguments extends GlobalArguments {
  run: string
}

export function builder(yargs: Argv) {
  return yargs
    .positional('run', { type: 'string', demandOption: true, describe: 'A run folder, finished or not' })
    .example('$0 report runs/quickstart', 'writes runs/quickstart/report.html')
}

export async function handler({ run, json }: Arguments): Promise<void> {
  const { writeReport } = await import('../../report/index.js')
  const file = await writeReport(run)
  if (json) await writeJsonLine({ report: file })
  else log(`Written: ${file}`)
}
