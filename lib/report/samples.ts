/** Sampled explanations as HTML: of each step shown the one with the highest reward and the one with the lowest. */
import type { CompletionRow } from '../runs/index.js'
import { escapeHtml } from './curves.js'
import { formatNumber } from './text.js'

export interface StepSamples {
  step: number
  rows: CompletionRow[]
}

export function samples(steps: readonly StepSamples[]): string {
  const shown = steps.filter(({ rows }) => rows.length > 0)
  if (shown.length === 0) return ''
  return `<h2>Explanations</h2>${shown.map(stepSamples).join('\n')}`
}

function stepSamples({ step, rows }: StepSamples): string {
  const ranked = rows.filter(row => typeof row.reward === 'number').sort((a, b) => rewardOf(b) - rewardOf(a))
  const chosen: [string, CompletionRow][] =
    ranked.length > 1
      ? [
          ['highest reward', ranked[0]!],
          ['lowest reward', ranked.at(-1)!],
        ]
      : [['the first', rows[0]!]]
  const articles = chosen.map(([label, row]) => sample(label, row)).join('\n')
  return `<h3>Step ${step}</h3><div class="samples">${articles}</div>`
}

/** Figures in one line, then each text under its name. Everything is what a model or a data set wrote: all escaped. */
function sample(label: string, row: CompletionRow): string {
  const figures = numbersOf(row).map(([key, value]) => `${escapeHtml(key)} ${formatNumber(value)}`)
  const texts = Object.entries(row).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  const blocks = texts.map(([key, text]) =>
    text.includes('\n') || text.length > 40
      ? `<details${key === 'explanation' || key === 'completion' ? ' open' : ''}><summary>${escapeHtml(key)}</summary><pre>${escapeHtml(text)}</pre></details>`
      : `<p>${escapeHtml(key)}: <code>${escapeHtml(text)}</code></p>`,
  )
  return `<article><h4>${escapeHtml(label)}</h4><p class="figures">${figures.join(' · ')}</p>${blocks.join('\n')}</article>`
}

/** Numbers of the row and, one level down, of its parts. */
function numbersOf(row: CompletionRow): [string, number][] {
  return Object.entries(row).flatMap(([key, value]): [string, number][] => {
    if (typeof value === 'number') return [[key, value]]
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return []
    return Object.entries(value)
      .filter((entry): entry is [string, number] => typeof entry[1] === 'number')
      .map(([part, number]) => [part, number])
  })
}

const rewardOf = (row: CompletionRow) => row.reward as number
