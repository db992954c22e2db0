// Generation through node-llama-cpp, timed: the work of bench/work.ts whose kind is `generate`.
//
//   node bench/peers/llama_cpp.mjs --environment FOLDER --work generate-16 --model FILE.gguf [--threads 2] [--shrink 16]
//
// Tokens are random, and the work is done once in small before it is timed. Each sample is a sequence of one context,
// which batches them; every one computes its own prompt, since sequences share nothing there. Memory-mapped weights
// count in the peak as far as they were read. Prints one line of JSON.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { repository } from './environment.mjs'

const { values: options } = parseArgs({
  options: {
    environment: { type: 'string' }, // the folder whose node_modules has node-llama-cpp
    work: { type: 'string' },
    model: { type: 'string' },
    threads: { type: 'string', default: '2' },
    shrink: { type: 'string', default: '1' },
  },
})
const threads = Number(options.threads)
const piece = await readPiece(options.work)
const { getLlama, version } = await importPeer(options.environment)

const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' })
const model = await llama.loadModel({ modelPath: path.resolve(options.model) })
await generate(shrunk(piece, Number(options.shrink) * 8))

const start = performance.now()
const tokens = await generate(shrunk(piece, Number(options.shrink)))
const seconds = (performance.now() - start) / 1000
console.log(
  JSON.stringify({
    program: 'node-llama-cpp',
    versions: { 'node-llama-cpp': version },
    work: options.work,
    tokens,
    seconds,
    tokens_per_second: tokens / seconds,
    peak_memory_bytes: await peakMemory(),
  }),
)
await llama.dispose()

/** Generates exactly `newTokens` tokens for each sample, going on after an end-of-sequence token. */
async function generate({ prompts, samples, promptTokens, newTokens }) {
  const sequences = prompts * samples
  const context = await model.createContext({
    sequences,
    contextSize: promptTokens + newTokens,
    batchSize: Math.max(512, sequences),
    threads: { ideal: threads, min: threads },
  })
  const counts = await Promise.all(
    Array.from({ length: prompts }, () => randomTokens(promptTokens)).flatMap(prompt =>
      Array.from({ length: samples }, () => continued(context.getSequence(), prompt, newTokens)),
    ),
  )
  await context.dispose()
  return counts.reduce((sum, count) => sum + count, 0)
}

async function continued(sequence, prompt, newTokens) {
  let count = 0
  for await (const _ of sequence.evaluate(prompt, {
    temperature: 1,
    topK: 0,
    topP: 1,
    yieldEogToken: true,
  })) {
    count += 1
    if (count === newTokens) break
  }
  return count
}

function randomTokens(length) {
  const vocabularySize = model.fileInfo.metadata.tokenizer.ggml.tokens.length
  return Array.from({ length }, () => Math.floor(Math.random() * vocabularySize))
}

async function readPiece(name) {
  const { work } = JSON.parse(await readFile(path.join(repository, 'lib', 'bench', 'workloads.json'), 'utf8'))
  if (work[name]?.kind !== 'generate')
    throw new Error(`--work takes work of the kind generate, not '${name}'.`)
  return work[name]
}

/** The same work on sequences that are `times` shorter, of at least 2 tokens. */
function shrunk({ promptTokens, newTokens, ...rest }, times) {
  const shorter = length => Math.max(2, Math.floor(length / times))
  return { ...rest, promptTokens: shorter(promptTokens), newTokens: shorter(newTokens) }
}

/** node-llama-cpp out of an environment that is not this package's own. */
async function importPeer(environment) {
  const entry = createRequire(path.join(path.resolve(environment), 'package.json')).resolve('node-llama-cpp')
  const manifest = path.join(path.resolve(environment), 'node_modules', 'node-llama-cpp', 'package.json')
  const { version } = JSON.parse(await readFile(manifest, 'utf8'))
  return { ...(await import(pathToFileURL(entry))), version }
}

/** The most memory that this process has held, in bytes: VmHWM. */
async function peakMemory() {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile('/proc/self/status', 'utf8'))
  return Number(kilobytes) * 1024
}
