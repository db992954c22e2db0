/** `report.html`: one file with a run's curves, some of its explanations and its configuration. No network, no script. */
import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { UsageError } from '../errors.js'
import {
  type CompletionRow,
  listCompletions,
  type MetricsRow,
  readMetrics,
  writeFileAtomic,
} from '../runs/index.js'
import { type CurveOptions, curve, escapeHtml } from './curves.js'
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
  const rows = await readMetrics(folder)
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
${rows.length === 0 ? '<p>No step has been finished yet.</p>' : summary(rows) + curves(rows)}
${await samples(await readSamples(folder))}
<h2>Configuration</h2>
<pre>${escapeHtml(config)}</pre>
</body>
</html>
`
}

function summary(rows: readonly MetricsRow[]): string {
  const last = rows.at(-1)!
  const column = (key: string) => rows.map(row => row[key]).filter(value => typeof value === 'number')
  const seconds = column('seconds').reduce((a, b) => a + b, 0)
  const ends = (key: string) => {
    const values = column(key)
    return values.length > 0 ? `${formatNumber(values[0])} → ${formatNumber(values.at(-1))}` : undefined
  }
  const memory = column('peak_memory_bytes')
  const facts: [string, string | undefined][] = [
    ['Reward, first step → last', ends('reward')],
    ...heldOutKeys(rows).map((key): [string, string | undefined] => [
      `${title(key)}, before → after`,
      ends(key),
    ]),
    ['Steps', String(last.step)],
    ['Time', seconds > 0 ? formatSeconds(seconds) : undefined],
    ['Most memory', memory.length > 0 ? formatBytes(Math.max(...memory)) : undefined],
  ]
  const cells = facts.filter(([, value]) => value !== undefined)
  return `<dl>${cells.map(([term, value]) => `<div><dt>${escapeHtml(term)}</dt><dd>${escapeHtml(value!)}</dd></div>`).join('')}</dl>`
}

/** The curves that have a place of their own; every other metric gets a small one after them. */
function curves(rows: readonly MetricsRow[]): string {
  const keys = [...new Set(rows.flatMap(row => Object.keys(row)))].filter(key => key !== 'step')
  const charts: { title: string; note?: string; keys: string[]; options: Partial<CurveOptions> }[] = [
    {
      title: 'Reward',
      note: 'Mean over all completions of a step: how well the students predict the solutions, less how unnatural the explanations are to them.',
      keys: ['reward', ...heldOutKeys(rows)],
      options: { width: 940, height: 260 },
    },
    ...keys
      .filter(key => key.startsWith('reward/'))
      .map(key => ({ title: title(key), keys: [key], options: {} })),
    { title: 'KL divergence from the reference', keys: ['kl_ref'], options: {} },
    {
      title: 'Sampler and trainer',
      note: 'Mean absolute difference of the log-probabilities of the sampled tokens, when sampled and when recomputed. Near 0 is right.',
      keys: ['sampler_trainer_gap'],
      options: {},
    },
    {
      title: 'Time',
      keys: ['seconds', ...keys.filter(key => key.startsWith('seconds/'))],
      options: { unit: 'seconds a step' },
    },
    { title: 'Peak memory', keys: ['peak_memory_bytes'], options: { unit: 'GiB', scale: 2 ** -30 } },
  ]
  const shown = new Set(charts.flatMap(chart => chart.keys))
  for (const key of keys) if (!shown.has(key)) charts.push({ title: title(key), keys: [key], options: {} })

  const figures = charts.map(chart => {
    const series = chart.keys.map(key => ({ key, name: chart.keys.length > 1 ? title(key) : '' }))
    const svg = curve(rows, { series, ...chart.options })
    if (svg === undefined) return ''
    const note = chart.note ? `<p>${escapeHtml(chart.note)}</p>` : ''
    return `<figure><figcaption>${escapeHtml(chart.title)}</figcaption>${note}${svg}</figure>`
  })
  return `<section class="curves">${figures.join('\n')}</section>`
}

const heldOutKeys = (rows: readonly MetricsRow[]) =>
  [...new Set(rows.flatMap(row => Object.keys(row)))].filter(key => /^held_?out.*reward$/i.test(key))

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
