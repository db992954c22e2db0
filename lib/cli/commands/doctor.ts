/** `rlt doctor`: what was found on this machine, and what to fix. It works where nothing else does. */
import type { Argv } from 'yargs'
import type { Command, GlobalArguments } from '../options.js'
import { log, writeJsonLine, writeOut } from '../output.js'

export const doctorCommand = {
  command: 'doctor',
  describe: 'Show what this machine has, whether the engine works, and what to fix',
  builder: (yargs: Argv) =>
    yargs
      .example('$0 doctor', 'look at this machine')
      .example('$0 doctor --json', 'the same for a bug report or a script')
      .epilogue('Exits with 1 when something that a run needs is missing.'),
  async handler({ json }: GlobalArguments) {
    const { examine } = await import('../doctor/findings.js')
    const { describeFindings } = await import('../doctor/text.js')
    const findings = await examine()
    if (json) await writeJsonLine(findings)
    else await writeOut(describeFindings(findings))
    const errors = findings.problems.filter(problem => problem.severity === 'error').length
    if (errors > 0) {
      log(errors === 1 ? '1 thing to fix.' : `${errors} things to fix.`)
      process.exitCode = 1
    }
  },
} satisfies Command
