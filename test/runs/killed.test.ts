/** A process is killed without warning while it writes: what it leaves must be usable. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { RunError, RunFolder, readMetrics } from '../../lib/runs/index.js'

const writer = fileURLToPath(new URL('writer.js', import.meta.url))

/** A process that writes metrics and checkpoints into the folder as fast as it can; resolves when it has begun. */
async function startWriter(folder: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [writer, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout!, 'data')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

test('killed at any moment, a run can be gone on with from a whole checkpoint', async t => {
  t.timeout(120_000)
  const folder = await mkdtemp(join(tmpdir(), 'rlt-killed-'))
  await (await RunFolder.create(folder, '{}\n')).close()
  let last = 0
  for (let attempt = 0; attempt < 12; attempt++) {
    const child = await startWriter(folder)
    await sleep(attempt * 7)
    await kill(child)
    // Opening takes the lock over from the killed process.
    const run = await RunFolder.open(folder)
    const found = await run.latestCheckpoint()
    const step = found?.step ?? 0
    t.deepEqual(found?.passedOver ?? [], [])
    t.true(step >= last, `step ${step} after ${last}`)
    if (found) t.is(await readFile(join(found.folder, 'model.bin'), 'utf8'), String(step).repeat(100_000))
    const steps = (await readMetrics(folder)).map(row => row.step)
    t.deepEqual(
      steps,
      Array.from(steps, (_, i) => i + 1),
    )
    t.true(steps.length >= step, 'every step of the checkpoint is in the metrics')
    last = step
    await run.close()
  }
  t.true(last > 0)
})

test('a folder in use is refused, naming the process', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'rlt-locked-'))
  await (await RunFolder.create(folder, '{}\n')).close()
  const child = await startWriter(folder)
  await t.throwsAsync(RunFolder.open(folder), {
    instanceOf: RunError,
    message: new RegExp(`in use by process ${child.pid} `),
  })
  await kill(child)
  await t.notThrowsAsync(RunFolder.open(folder))
})
