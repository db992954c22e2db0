/** Models and figures of test/fixtures/engine, written by scripts/fixtures/engine/make.py, and ways to compare. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { GrpoLoss, LoadOptions, PerToken, SftLoss, TokenGroup } from '../../lib/engine/index.js'
import { Model } from '../../lib/engine/index.js'
import { readSafetensorsFile } from '../../lib/models/index.js'
import { packageRoot } from '../../lib/packageRoot.js'

export const architectures = ['llama-tied', 'llama-untied-scaled', 'qwen2', 'qwen3'] as const
export type Architecture = (typeof architectures)[number]

const folder = join(packageRoot(), 'test/fixtures/engine')

type Numbers = number[][][]

export interface LossFigures {
  inputs: {
    kind: 'sft' | 'grpo'
    weights: Numbers
    advantages: number[][]
    oldLogProbs: Numbers
    referenceLogProbs: Numbers
    beta: number
    clipLow: number
    clipHigh: number
  }
  temperature: number
  loss: number
  /** Of SmolLM2 alone. */
  gradientNorms: Record<string, number>
}

export interface Figures {
  groups: { prefix: number[]; suffixes: number[][] }[]
  logProbs: Numbers
  'logProbsAt0.7': Numbers
  bfloat16LogProbs: Numbers
  greedy: { prompt: number[]; tokens: number[] }
  /** The largest |hidden state| * |row of the output projection| over all predictions. */
  logitScale: number
  sft: LossFigures
  grpo: LossFigures
  adamw: {
    learningRate: number
    weightDecay: number
    maxGradNorm: number
    gradNorms: number[]
    /** After the steps; of SmolLM2 alone. */
    logProbs: Numbers
  }
}

export async function readFigures(name: Architecture | 'smollm2'): Promise<Figures> {
  return JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'))
}

/** Tensors of NAME.safetensors whose names begin with `kind.`, under the rest of their names. */
export async function readTensors(
  name: Architecture | 'smollm2',
  kind: 'sft' | 'grpo' | 'adamw',
): Promise<Map<string, Float32Array>> {
  const file = join(folder, `${name}.safetensors`)
  const [{ entries }, bytes] = await Promise.all([readSafetensorsFile(file), readFile(file)])
  return new Map(
    entries
      .filter(entry => entry.name.startsWith(`${kind}.`))
      .map(({ name, offset, byteLength }) => [
        name.slice(kind.length + 1),
        new Float32Array(Uint8Array.from(bytes.subarray(offset, offset + byteLength)).buffer),
      ]),
  )
}

export function modelFolder(name: Architecture): string {
  return join(folder, 'models', name)
}

/** A tiny model in fp32 on the CPU unless options say otherwise; it goes when the test ends. */
export async function loadTiny(
  t: ExecutionContext,
  name: Architecture = 'llama-tied',
  options: LoadOptions = {},
): Promise<Model> {
  const model = await Model.load(modelFolder(name), { dtype: 'float32', device: 'cpu', ...options })
  t.teardown(() => model.dispose())
  return model
}

/** A new folder that goes when the test ends. */
export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const created = await mkdtemp(join(tmpdir(), 'rlt-engine-'))
  t.teardown(() => rm(created, { recursive: true, force: true }))
  return created
}

export function perToken(values: Numbers): Float32Array[][] {
  return values.map(group => group.map(suffix => Float32Array.from(suffix)))
}

export function lossOf({ inputs }: LossFigures): SftLoss | GrpoLoss {
  const weights = perToken(inputs.weights)
  if (inputs.kind === 'sft') return { kind: 'sft', weights }
  const { advantages, beta, clipLow, clipHigh } = inputs
  const referenceLogProbs = perToken(inputs.referenceLogProbs)
  const oldLogProbs = perToken(inputs.oldLogProbs)
  return { kind: 'grpo', weights, advantages, oldLogProbs, referenceLogProbs, beta, clipLow, clipHigh }
}

/** Weights of 1 / tokens for each suffix token: the mean negative log-likelihood. */
export function meanLoss(groups: readonly TokenGroup[]): SftLoss {
  const tokens = groups.flatMap(group => group.suffixes).reduce((sum, suffix) => sum + suffix.length, 0)
  const weights = groups.map(group =>
    group.suffixes.map(suffix => new Float32Array(suffix.length).fill(1 / tokens)),
  )
  return { kind: 'sft', weights }
}

export async function readGradients(
  model: Model,
  names: Iterable<string>,
): Promise<Map<string, Float32Array>> {
  const gradients = new Map<string, Float32Array>()
  for (const name of names) gradients.set(name, await model.readGradient(name))
  return gradients
}

/** Names of the model's tensors, as Hugging Face has them. */
export function parameterNames(model: Model): string[] {
  return model.native.tensors().map(tensor => tensor.name)
}

/** Largest absolute difference of two results of one shape; fails the test when the shapes differ. */
export function largestDifference(
  t: ExecutionContext,
  actual: PerToken,
  expected: readonly (readonly (readonly number[] | Float32Array)[])[],
): number {
  t.deepEqual(lengths(actual), lengths(expected))
  let largest = 0
  expected.forEach((group, g) => {
    group.forEach((suffix, s) => {
      suffix.forEach((value, i) => {
        const found = actual[g]![s]![i]!
        if (Number.isNaN(value) && Number.isNaN(found)) return
        const difference = Math.abs(found - value)
        largest = difference <= largest ? largest : difference // a NaN is the largest
      })
    })
  })
  return largest
}

function lengths(values: readonly (readonly ArrayLike<number>[])[]): number[][] {
  return values.map(group => group.map(suffix => suffix.length))
}

/**
 * bfloat16 keeps 8 bits: rounding changes a number by at most this share of it.
 */
const BFLOAT16_UNIT = 2 ** -8

/**
 * Standard deviation of the relative error of a hidden state in bfloat16, and of gradients likewise. A layer rounds
 * some 12 intermediate results (two norms, queries, keys, values, rotations, attention, projections, gate, sums) and
 * its 7 weight matrices; each is an independent error of BFLOAT16_UNIT / sqrt(3), that of a uniform distribution, and
 * they add up as a random walk does.
 */
export function relativeDeviation(layers: number): number {
  return (BFLOAT16_UNIT / Math.sqrt(3)) * Math.sqrt(19 * layers + 4)
}

/** Standard deviation of a logit in bfloat16: an error of random direction, seen along a row of the output projection. */
export function logitDeviation(model: Model, figures: Figures): number {
  const { layers, hiddenSize } = model.configuration
  return (relativeDeviation(layers) * figures.logitScale) / Math.sqrt(hiddenSize)
}

/** Mean absolute difference over all tokens of two results of one shape. */
export function meanDifference(
  actual: readonly Float32Array[][],
  expected: readonly (readonly ArrayLike<number>[])[],
): number {
  const differences = expected.flatMap((group, g) =>
    group.flatMap((suffix, s) => Array.from(suffix, (value, i) => Math.abs(actual[g]![s]![i]! - value))),
  )
  return differences.reduce((a, b) => a + b) / differences.length
}

/** |actual - expected| / |expected| of two tensors taken as vectors; 0 for two zero tensors. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.NaN
  let difference = 0
  let size = 0
  expected.forEach((value, i) => {
    difference += (actual[i]! - value) ** 2
    size += value ** 2
  })
  return difference === 0 ? 0 : Math.sqrt(difference / size)
}

/** The largest of {@link relativeError} over the named tensors; NaN when one is missing. */
export function worstRelativeError(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
): { name: string; error: number } {
  let worst = { name: '', error: 0 }
  for (const [name, values] of expected) {
    const error = relativeError(actual.get(name) ?? new Float32Array(0), values)
    if (!(error <= worst.error)) worst = { name, error }
  }
  return worst
}
