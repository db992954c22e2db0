/** `report.html`: one file with a run's curves, some of its explanations and its configuration. No network, no script. */
import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { UsageError } from '../errors.js'
import {
  type CompletionRow,
  listCompletions,
  type MetricsRow,
  readEvaluations,
  readMetrics,
  writeFileAtomic,
} from '../runs/index.js'
import { type CurveOptions, curve, escapeHtml, type Series } from './curves.js'
import { type StepSamples, samples } from './samples.js'
import { style } from './style.js'
import { formatBytes, formatNumber, formatSeconds } from './text.js'

/**
 * Writes `report.html` into a run folder, from what is in it at this moment.
 * @returns the path of the file
 * @throws {UsageError} this is not a run folder
 * @throws {RunError} its metrics are damaged
 */
export async function writeReport(folder: string): Promise<string> {
  const file = join(resolve(folder), 'report.html')
  await writeFileAtomic(file, await renderReport(folder))
  return file
}

export async function renderReport(folder: string): Promise<string> {
  const config = await readFile(join(folder, 'config.yaml'), 'utf8').catch(error => {
    throw new UsageError(`${folder} is not a run folder: there is no config.yaml in it`, { cause: error })
  })
  const [rows, heldOut] = await Promise.all([readMetrics(folder), readEvaluations(folder)])
  const name = basename(resolve(folder))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(name)}: training report</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(name)}</h1>
${rows.length === 0 ? '<p>No step has been finished yet.</p>' : ''}
${summary(rows, heldOut)}
${curves(rows, heldOut)}
${await samples(await readSamples(folder))}
<h2>Configuration</h2>
<pre>${escapeHtml(config)}</pre>
</body>
</html>
`
}

function summary(rows: readonly MetricsRow[], heldOut: readonly MetricsRow[]): string {
  const column = (key: string) => rows.map(row => row[key]).filter(value => typeof value === 'number')
  const ends = (values: readonly string[]) =>
    values.length > 1 ? `${values[0]} → ${values.at(-1)}` : values[0]
  const seconds = column('seconds').reduce((a, b) => a + b, 0)
  const memory = column('peak_memory_bytes')
  const facts: [string, string | undefined][] = [
    [
      'Held-out reward, before → after',
      ends(heldOut.filter(row => 'held_out/reward' in row).map(heldOutReward)),
    ],
    [
      'Held-out loss, before → after',
      ends(heldOut.filter(row => 'held_out/loss' in row).map(row => formatNumber(row['held_out/loss']))),
    ],
    ['Reward, first step → last', ends(column('reward').map(formatNumber))],
    ['Steps', rows.length > 0 ? String(rows.at(-1)!.step) : undefined],
    ['Time of the steps', seconds > 0 ? formatSeconds(seconds) : undefined],
    ['Most memory', memory.length > 0 ? formatBytes(Math.max(...memory)) : undefined],
  ]
  const cells = facts
    .filter(([, value]) => value !== undefined)
    .map(([term, value]) => `<div><dt>${escapeHtml(term)}</dt><dd>${escapeHtml(value!)}</dd></div>`)
  return cells.length > 0 ? `<dl>${cells.join('')}</dl>` : ''
}

const heldOutReward = (row: MetricsRow) =>
  `${formatNumber(row['held_out/reward'])} ± ${formatNumber(row['held_out/reward_standard_error'])}`

/** The curves that have a place of their own; every other metric gets a small one after them. */
function curves(rows: readonly MetricsRow[], heldOut: readonly MetricsRow[]): string {
  const keys = [...new Set(rows.flatMap(row => Object.keys(row)))].filter(key => key !== 'step')
  const ofSteps = (...names: string[]): Series[] =>
    names.map(key => ({ key, rows, name: names.length > 1 ? title(key) : '' }))
  const charts: Chart[] = [
    {
      title: 'Reward',
      note: 'Mean over all completions: how well the students predict the solutions, less how unnatural the explanations are to them. The bars are standard errors.',
      series: [
        { key: 'reward', rows, name: 'each step' },
        {
          key: 'held_out/reward',
          errorKey: 'held_out/reward_standard_error',
          rows: heldOut,
          name: 'held-out rows',
        },
      ],
      width: 940,
      height: 260,
    },
    ...keys
      .filter(key => key.startsWith('reward/'))
      .map(key => ({ title: title(key), series: ofSteps(key) })),
    {
      title: 'Loss',
      series: [
        { key: 'loss', rows, name: 'each step' },
        ...(heldOut.some(row => 'held_out/loss' in row)
          ? [{ key: 'held_out/loss', rows: heldOut, name: 'held-out rows' }]
          : []),
      ],
    },
    { title: 'KL divergence from the reference', series: ofSteps('kl_ref') },
    { title: 'Entropy of the policy', series: ofSteps('entropy'), unit: 'nats a token' },
    {
      title: 'Sampler and trainer',
      note: 'Mean absolute difference of the log-probabilities of the sampled tokens, when sampled and when recomputed. Near 0 is right.',
      series: ofSteps('sampler_trainer_gap'),
    },
    {
      title: 'Time',
      series: ofSteps('seconds', ...keys.filter(key => key.startsWith('seconds/'))),
      unit: 'seconds a step',
    },
    { title: 'Peak memory', series: ofSteps('peak_memory_bytes'), unit: 'GiB', scale: 2 ** -30 },
  ]
  const shown = new Set(charts.flatMap(chart => chart.series.map(({ key }) => key)))
  for (const key of keys) if (!shown.has(key)) charts.push({ title: title(key), series: ofSteps(key) })
  return `<section class="curves">${charts.map(figure).join('\n')}</section>`
}

interface Chart extends CurveOptions {
  title: string
  note?: string
}

function figure({ title, note, ...options }: Chart): string {
  const svg = curve(options)
  if (svg === undefined) return ''
  const paragraph = note ? `<p>${escapeHtml(note)}</p>` : ''
  return `<figure><figcaption>${escapeHtml(title)}</figcaption>${paragraph}${svg}</figure>`
}

/** reward/naturalness → Reward: naturalness; grad_norm → Grad norm */
function title(key: string): string {
  const words = key.replaceAll('_', ' ').replaceAll('/', ': ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** The explanations of the first, the middle and the last step that has any. */
async function readSamples(folder: string): Promise<StepSamples[]> {
  const files = await listCompletions(folder)
  const chosen = new Set([files[0], files[Math.floor((files.length - 1) / 2)], files.at(-1)])
  const read = async ({ step, file }: { step: number; file: string }) => {
    const lines = (await readFile(file, 'utf8')).split('\n').filter(line => line !== '')
    return { step, rows: lines.map(line => JSON.parse(line) as CompletionRow) }
  }
  return Promise.all([...chosen].filter(file => file !== undefined).map(read))
}
