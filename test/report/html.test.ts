import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { parseHTML } from 'linkedom'
import { UsageError } from '../../lib/errors.js'
import { writeReport } from '../../lib/report/index.js'
import { type CompletionRow, type MetricsRow, RunFolder } from '../../lib/runs/index.js'

async function report(
  rows: MetricsRow[],
  completions: [number, CompletionRow[]][] = [],
  config = 'a: 1\n',
  heldOut: MetricsRow[] = [],
) {
  const folder = await mkdtemp(join(tmpdir(), 'rlt-report-'))
  const run = await RunFolder.create(folder, config)
  for (const row of rows) await run.appendMetrics(row)
  for (const [step, samples] of completions) await run.writeCompletions(step, samples)
  await writeFile(join(folder, 'evaluation.jsonl'), heldOut.map(row => JSON.stringify(row)).join('\n'))
  await run.close()
  const html = await readFile(await writeReport(folder), 'utf8')
  return { html, document: parseHTML(html).document }
}

const steps = (count: number): MetricsRow[] =>
  Array.from({ length: count }, (_, i) => ({
    step: i + 1,
    reward: -2 + i / count,
    'reward/understanding': -1,
    'reward/naturalness': 0.1,
    kl_ref: 0.001,
    sampler_trainer_gap: 1e-5,
    seconds: 60,
    'seconds/sample': 3,
    'seconds/train': 5,
    grad_norm: 0.5,
    peak_memory_bytes: 2 ** 31,
  }))

test('the file asks nothing of the network and runs no script', async t => {
  const { html, document } = await report(steps(5), [[1, [{ explanation: 'x', reward: 1 }]]])
  for (const element of ['script', 'link', 'img', 'iframe', 'object'])
    t.is(document.querySelectorAll(element).length, 0, element)
  t.false(/(?:href|src)\s*=|url\(|@import/i.test(html.replaceAll(/href="#/g, '')))
  t.true(html.includes("default-src 'none'"))
})

test('there is a curve for the reward, its parts, the divergence, the gap, the time, and whatever else was measured', async t => {
  const { document } = await report(steps(5))
  const captions = [...document.querySelectorAll('figure')].map(
    figure => figure.querySelector('figcaption')!.textContent,
  )
  t.deepEqual(captions, [
    'Reward',
    'Reward: understanding',
    'Reward: naturalness',
    'KL divergence from the reference',
    'Sampler and trainer',
    'Time',
    'Peak memory',
    'Grad norm',
  ])
  t.is(document.querySelectorAll('figure svg').length, captions.length)
})

test('a curve has a point for each step, at the height of its value', async t => {
  const rows = [1, 2, 3, 4].map(step => ({ step, reward: [0, 1, 3, 4][step - 1]! }))
  const { document } = await report(rows)
  const circles = [...document.querySelectorAll('svg circle')]
  const [y0, y1, y2, y3] = circles.map(circle => Number(circle.getAttribute('cy')))
  t.is(circles.length, 4)
  // Rounding of the written coordinates is the only source of difference.
  t.true(Math.abs((y0! - y1!) * 3 - (y0! - y2!)) < 1e-6)
  t.true(Math.abs((y0! - y1!) * 4 - (y0! - y3!)) < 1e-6)
  t.true(y1! < y0!)
})

test('values that are missing leave a gap in nothing else', async t => {
  const { document } = await report([
    { step: 1, reward: null },
    { step: 2, reward: 1 },
    { step: 3 } as MetricsRow,
  ])
  t.is(document.querySelectorAll('svg circle').length, 1)
})

test('held-out rewards are drawn with the reward, with their errors, and lead the summary', async t => {
  const heldOut = [
    { step: 0, 'held_out/reward': -3, 'held_out/reward_standard_error': 0.25 },
    { step: 4, 'held_out/reward': -1.5, 'held_out/reward_standard_error': 0.5 },
  ]
  const { document } = await report(steps(4), [], 'a: 1\n', heldOut)
  t.regex(
    document.querySelector('dl')!.textContent!,
    /^Held-out reward, before → after-3 ± 0\.2500 → -1\.500 ± 0\.5000/,
  )
  const figure = document.querySelector('figure')!
  t.is(figure.querySelectorAll('circle').length, 6)
  t.is(figure.querySelectorAll('[aria-label="rule"] line').length, 2)
  t.is(figure.querySelector('.legend')!.textContent, 'each stepheld-out rows')
})

test('what was measured before the first step is shown while that goes on', async t => {
  const { document } = await report([], [], 'a: 1\n', [{ step: 0, 'held_out/reward': -3 }])
  t.regex(document.querySelector('body')!.textContent!, /No step has been finished yet/)
  t.is(document.querySelectorAll('figure circle').length, 1)
})

test('what models and data sets wrote is shown, not obeyed', async t => {
  const attack = '</pre><script>alert(1)</script>\n<img src=x onerror=alert(1)> & "quotes"'
  const row = { explanation: attack, question: attack, [attack]: 1, reward: 0.5 }
  const { document } = await report(steps(2), [[1, [row]]], `folder: ${attack}`)
  t.is(document.querySelectorAll('script, img').length, 0)
  t.true([...document.querySelectorAll('pre')].some(pre => pre.textContent === attack))
  t.is(document.querySelectorAll('pre').length, 3) // the question, the explanation, the configuration
})

test('of the first, the middle and the last step the best and the worst explanation are shown', async t => {
  const completions = [1, 2, 3, 4, 5].map((step): [number, CompletionRow[]] => [
    step,
    [2, 9, 4].map(reward => ({ explanation: `${step}:${reward}\n`, reward })),
  ])
  const { document } = await report(steps(5), completions)
  const shown = [...document.querySelectorAll('article pre')].map(pre => pre.textContent!.trim())
  t.deepEqual(shown, ['1:9', '1:2', '3:9', '3:2', '5:9', '5:2'])
})

test('a run without a finished step has a report too', async t => {
  const { document } = await report([])
  t.regex(document.querySelector('body')!.textContent!, /No step has been finished yet/)
})

test('a long run is drawn with its running mean', async t => {
  const { document } = await report(
    Array.from({ length: 200 }, (_, i) => ({ step: i + 1, reward: Math.sin(i) })),
  )
  const figure = document.querySelector('figure')!
  t.is(figure.querySelectorAll('path[stroke-width="2"], g[stroke-width="2"] path').length, 1)
  t.is(figure.querySelectorAll('circle').length, 200)
})

test('a folder that is not a run is a usage error', async t => {
  await t.throwsAsync(writeReport('/nowhere'), { instanceOf: UsageError, message: /is not a run folder/ })
})

test('a run without a reward shows its loss, and that on held-out rows beside it', async t => {
  const losses = [4, 3.5, 3.25].map((loss, i) => ({ step: i + 1, loss, lr: 1e-5, seconds: 2 }))
  const heldOut = [
    { step: 0, 'held_out/loss': 4.125 },
    { step: 3, 'held_out/loss': 3.375 },
  ]
  const { document } = await report(losses, [], 'a: 1\n', heldOut)
  const [first] = document.querySelectorAll('figure')
  t.is(first!.querySelector('figcaption')!.textContent, 'Loss')
  t.regex(first!.querySelector('.legend')!.textContent!, /each step.*held-out rows/)
  const terms = [...document.querySelectorAll('dt')].map(term => term.textContent)
  t.is(terms[0], 'Held-out loss, before → after')
  t.is(document.querySelector('dd')!.textContent, '4.125 → 3.375')
})
