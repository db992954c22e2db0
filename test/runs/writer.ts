/** Run by killed.test.ts in a process of its own: trains nothing, but writes as a run does, until it is killed. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RunFolder } from '../../lib/runs/index.js'

const run = await RunFolder.open(process.argv[2]!)
let step = (await run.latestCheckpoint())?.step ?? 0
await run.truncateAfter(step)
process.stdout.write('begun\n')
for (;;) {
  step++
  const now = step
  await run.appendMetrics({ step: now })
  await run.saveCheckpoint(
    now,
    async folder => {
      await writeFile(join(folder, 'model.bin'), String(now).repeat(100_000))
      return { step: now }
    },
    { keep: 2 },
  )
}
