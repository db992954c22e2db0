#!/usr/bin/env node
// rlt beside its peers: the same work on the same weights and threads, each in a process of its own, by turns.

import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { tolerableShare, watched } from '../../dist/lib/bench/disturbance.js'
import { llamaCppEnvironment, modelFolder, modelGguf, peersPython, repository, run } from './environment.mjs'

const usage = `Usage: npm run bench:peers -- [options]

Compares rlt with TRL (one GRPO step), with transformers (generation, log-probabilities, backward) and with
node-llama-cpp (generation) on SmolLM2-135M in bfloat16; llama.cpp has it in float16. The first run makes an
environment for Python and one for Node in the cache (RLT_CACHE or ~/.cache/rlt).

  --only step|work  one of the two comparisons
  --rounds N        runs of each side, by turns; the table shows medians and ranges (default 3)
  --threads N       threads of each side (default 2)
  --quick           tiny sizes, to see that everything works: the figures mean nothing
  --output FILE     every run's figures as JSON
  --help            this text

Environment: RLT_PEERS_PYTHON, a Python that has the packages of bench/peers/requirements.txt already; PYTHON.`

const log = line => console.error(`bench:peers: ${line}`)

async function main() {
  const options = readOptions()
  if (options.help) return console.log(usage)
  const places = await prepare(options)

  const comparisons = []
  for (const { name, sides } of await selected(options, places)) {
    const results = sides.map(() => [])
    for (let round = 1; round <= options.rounds; round++)
      for (const [index, [command, ...parameters]] of sides.entries()) {
        const result = await measure(command, parameters, options.threads)
        log(`${name}, round ${round}: ${result.program} ${result.seconds.toFixed(2)} s${disturbance(result)}`)
        results[index].push(result)
      }
    comparisons.push(compare(name, results))
  }
  print(comparisons, options)
  if (options.output) await save(comparisons, options)
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: '2' },
      quick: { type: 'boolean', default: false },
      output: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.only !== undefined && !['step', 'work'].includes(values.only))
    throw new Error(`--only takes step or work, not '${values.only}'.`)
  const positive = name => {
    const number = Number(values[name])
    if (Number.isInteger(number) && number > 0) return number
    throw new Error(`--${name} takes a whole number above 0, not '${values[name]}'.`)
  }
  return { ...values, rounds: positive('rounds'), threads: positive('threads') }
}

/** Environments and models: of node-llama-cpp only where there is work for it. */
async function prepare({ only }) {
  const python = await peersPython(log)
  const model = await modelFolder(log)
  if (only === 'step') return { python, model }
  return { python, model, llamaCpp: await llamaCppEnvironment(log), gguf: await modelGguf(python, log) }
}

/** What to compare: for each piece of work the command of each side, rlt's first. */
async function selected({ only, quick, threads }, { python, model, llamaCpp, gguf }) {
  const { work } = JSON.parse(await readFile(path.join(repository, 'lib', 'bench', 'workloads.json'), 'utf8'))
  const common = ['--threads', String(threads)]
  const rlt = script => [process.execPath, path.join('dist', 'bench', script), '--model', model, ...common]
  const pythonPeer = script => [python, path.join('bench', 'peers', script), '--model', model, ...common]
  const llamaCppPeer = [
    process.execPath,
    path.join('bench', 'peers', 'llama_cpp.mjs'),
    '--model',
    gguf,
    ...common,
  ]

  const tiny = quick ? ['--prompts', '1', '--completions', '2', '--tokens', '8'] : []
  const trl = pythonPeer('trl_step.py')
  const step = [rlt('step.js'), trl, [...trl, '--gradient-checkpointing']].map(side => [...side, ...tiny])
  const pieces = Object.entries(work).map(([name, { kind }]) => {
    const sides = [rlt('work.js'), pythonPeer('transformers_work.py')]
    if (kind === 'generate') sides.push([...llamaCppPeer, '--environment', llamaCpp])
    const sizes = ['--work', name, ...(quick ? ['--shrink', '16'] : [])]
    return { name, sides: sides.map(command => [...command, ...sizes]) }
  })
  return [
    ...(only === 'work' ? [] : [{ name: 'GRPO step', sides: step }]),
    ...(only === 'step' ? [] : pieces),
  ]
}

/** One run of one side in a process of its own. Its last line is its result. */
async function measure(command, parameters, threads) {
  const env = {
    ...process.env,
    ...{ OMP_NUM_THREADS: String(threads), TOKENIZERS_PARALLELISM: 'false' },
    HF_HUB_OFFLINE: '1', // the model is on disk: no run is to wait for the hub
  }
  const { result: output, others = 0 } = await watched(() => run(command, parameters, env))
  const result = JSON.parse(output.trimEnd().split('\n').at(-1))
  return { ...result, other_cpu_share: others }
}

function disturbance({ other_cpu_share }) {
  if (other_cpu_share < tolerableShare) return ''
  return `, but other processes took ${(100 * other_cpu_share).toFixed(0)} % of the CPU`
}

/** @throws Error if the sides did not do the same work, which would make their times incomparable */
function compare(name, [rlt, ...peers]) {
  const ours = summary(rlt)
  return { name, rlt: ours, peers: peers.map(against), runs: [rlt, ...peers].flat() }

  function against(peer) {
    for (const key of ['prompt_tokens', 'student_tokens', 'completion_tokens', 'tokens'])
      if (rlt[0][key] !== peer[0][key])
        throw new Error(`${name}: ${key} of rlt are ${rlt[0][key]}, of ${peer[0].program} ${peer[0][key]}.`)
    const theirs = summary(peer)
    return {
      ...theirs,
      speed_ratio: theirs.seconds / ours.seconds, // of the same tokens
      memory_ratio: ours.peak_memory_bytes / theirs.peak_memory_bytes,
    }
  }
}

/** Medians over the rounds, and how far apart those were. */
function summary(results) {
  const values = key => results.map(result => result[key])
  const seconds = median(values('seconds'))
  return {
    program: results[0].program,
    versions: results[0].versions,
    seconds,
    seconds_range: [Math.min(...values('seconds')), Math.max(...values('seconds'))],
    tokens_per_second: (results[0].tokens_per_second * results[0].seconds) / seconds,
    peak_memory_bytes: median(values('peak_memory_bytes')),
    other_cpu_share: Math.max(...values('other_cpu_share')),
  }
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

function print(comparisons, { threads, rounds, quick }) {
  const speed = ({ seconds, seconds_range, tokens_per_second }) =>
    `${seconds.toFixed(2)} s (${seconds_range.map(end => end.toFixed(2)).join(' to ')}), ${tokens_per_second.toFixed(1)} tok/s`
  const memory = ({ peak_memory_bytes }) => `${(peak_memory_bytes / 1e9).toFixed(2)} GB`
  const rows = comparisons.flatMap(({ name, rlt, peers }) =>
    peers.map(peer => [
      name,
      speed(rlt),
      `${peer.program}: ${speed(peer)}`,
      `${peer.speed_ratio.toFixed(2)} x`,
      memory(rlt),
      memory(peer),
      peer.memory_ratio.toFixed(2),
    ]),
  )
  rows.unshift(['work', 'rlt', 'peer', 'speed', 'peak, rlt', 'peak, peer', 'memory'])
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)))
  const line = row => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  const rule = `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`
  console.log([line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n'))
  console.log(`${cpus()[0]?.model ?? 'CPU'}, ${threads} threads, bfloat16, medians of ${rounds}`)
  if (quick) console.log('Tiny sizes (--quick): these figures mean nothing.')
  const disturbed = comparisons.filter(({ runs }) => runs.some(disturbance)).map(({ name }) => name)
  if (disturbed.length > 0)
    console.log(
      `Other processes took CPU time: do not trust ${disturbed.join(', ')}. Repeat on a quiet machine.`,
    )
}

async function save(comparisons, { threads, rounds, quick, output }) {
  const report = { cpu: cpus()[0]?.model, node: process.version, threads, rounds, quick, comparisons }
  await writeFile(path.resolve(output), `${JSON.stringify(report, null, 2)}\n`)
  log(`written: ${path.relative(repository, path.resolve(output))}`)
}

main().catch(error => {
  console.error(`bench:peers: ${error.message}`)
  process.exitCode = 1
})
