/**
 * Shows that training teaches: runs a preset with several seeds and compares the held-out reward before and after.
 *
 *   node dist/bench/learning.js --preset quickstart --seeds 1,2,3 --folder runs/learning --figure docs/learning.svg
 *
 * Prints a table and writes the curves. A run that is complete is not run again: only its figures are read.
 */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { loadConfig, trainKind } from '../lib/config/index.js'
import { curve, type Series } from '../lib/report/curves.js'
import type { MetricsRow } from '../lib/runs/index.js'
import { train } from '../lib/stages/train.js'

const { preset, seeds, folder, figure } = await yargs(hideBin(process.argv))
  .option('preset', { type: 'string', default: 'quickstart' })
  .option('seeds', {
    type: 'string',
    default: '1,2,3',
    coerce: (text: string) => text.split(',').map(Number),
  })
  .option('folder', { type: 'string', default: 'runs/learning' })
  .option('figure', { type: 'string' })
  .strict()
  .parse()

const series: Series[] = []
console.log('seed  before            after             gain    its standard error')
const gains: number[] = []
for (const seed of seeds) {
  const run = join(folder, `seed-${seed}`)
  const { config } = await loadConfig(trainKind, preset, [`training.seed=${seed}`, `output.folder=${run}`])
  const rows = (await measured(run, config.training.steps)) ?? (await runAndMeasure(config, run))
  const [before, after] = [rows[0]!, rows.at(-1)!]
  const gain = after['held_out/reward']! - before['held_out/reward']!
  const error = Math.hypot(
    after['held_out/reward_standard_error']!,
    before['held_out/reward_standard_error']!,
  )
  gains.push(gain)
  const show = (row: MetricsRow) =>
    `${row['held_out/reward']!.toFixed(3)} ± ${row['held_out/reward_standard_error']!.toFixed(3)}`.padEnd(18)
  console.log(
    `${String(seed).padEnd(6)}${show(before)}${show(after)}${gain.toFixed(3).padEnd(8)}${error.toFixed(3)}`,
  )
  series.push({
    name: `seed ${seed}`,
    rows,
    key: 'held_out/reward',
    errorKey: 'held_out/reward_standard_error',
  })
}
const mean = gains.reduce((a, b) => a + b, 0) / gains.length
const spread = Math.sqrt(
  gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0) / Math.max(1, gains.length - 1),
)
console.log(
  `mean gain ${mean.toFixed(3)}, standard error over seeds ${(spread / Math.sqrt(gains.length)).toFixed(3)}`,
)

if (figure) {
  const drawn = curve({ series, unit: 'held-out reward', width: 640, height: 300 })
  const svg = drawn?.slice(drawn.indexOf('<svg'))
  if (svg)
    await writeFile(
      figure,
      svg.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg" style="background:white"'),
    )
}

async function measured(run: string, steps: number): Promise<MetricsRow[] | undefined> {
  const file = join(run, 'evaluation.jsonl')
  if (!existsSync(file)) return undefined
  const lines = (await readFile(file, 'utf8')).trim().split('\n')
  const rows = lines.map(line => JSON.parse(line) as MetricsRow)
  return rows.at(-1)?.step === steps ? rows : undefined
}

async function runAndMeasure(config: Parameters<typeof train>[0], run: string): Promise<MetricsRow[]> {
  await train(config, {
    onStep: row => console.error(`${run}: step ${row.step}, reward ${row['reward']?.toFixed(3)}`),
  })
  const rows = await measured(run, config.training?.steps ?? 0)
  if (!rows) throw new Error(`${run} ended without a held-out measurement: the preset needs data.heldOut.`)
  return rows
}
