/** From rewards to gradients: each of algorithm.loss against its paper's formula in PyTorch, by autograd in fp64. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parseConfig, trainKind } from '../../lib/config/index.js'
import { readSafetensorsFile } from '../../lib/models/index.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { estimateAdvantages } from '../../lib/stages/train/advantages.js'
import { correctionOf, importanceSampling } from '../../lib/stages/train/importanceSampling.js'
import { policyLoss } from '../../lib/stages/train/loss.js'
import { loadTiny, parameterNames, perToken, readGradients, worstRelativeError } from '../helpers/engine.js'

type Numbers = number[][][]

/** Written by scripts/fixtures/engine/losses.py. */
interface Figures {
  groups: { prefix: number[]; suffixes: number[][] }[]
  rewards: number[][]
  temperature: number
  beta: number
  maxNewTokens: number
  entropy: number
  oldLogProbs: Numbers
  referenceLogProbs: Numbers
  sampledLogProbs: Numbers
  cases: Record<string, { algorithm: Record<string, unknown>; loss: number; clipped: number }>
}

// The engine computes in fp32: sums of a few hundred terms differ by some 1e-6; 1e-4 is what it promises.
const TOLERANCE = 1e-4

const fixtures = join(packageRoot(), 'test/fixtures/engine')
const figures: Figures = JSON.parse(await readFile(join(fixtures, 'losses.json'), 'utf8'))
const oldLogProbs = perToken(figures.oldLogProbs)
const referenceLogProbs = perToken(figures.referenceLogProbs)
const { groups, temperature } = figures

async function readExpected(name: string): Promise<Map<string, Float32Array>> {
  const file = join(fixtures, 'losses.safetensors')
  const [{ entries }, bytes] = await Promise.all([readSafetensorsFile(file), readFile(file)])
  return new Map(
    entries
      .filter(entry => entry.name.startsWith(`${name}.`))
      .map(entry => [
        entry.name.slice(name.length + 1),
        new Float32Array(
          Uint8Array.from(bytes.subarray(entry.offset, entry.offset + entry.byteLength)).buffer,
        ),
      ]),
  )
}

/** Every second of up to 64 values, the i-th of n being that at floor(i * size / n). */
function evenlySpaced(gradient: Float32Array): Float32Array {
  const count = Math.min(64, gradient.length)
  const values = Array.from({ length: count }, (_, i) => gradient[Math.floor((i * gradient.length) / count)]!)
  return Float32Array.from(values.filter((_, i) => i % 2 === 0))
}

function configOf(algorithm: Record<string, unknown>) {
  return parseConfig(trainKind, {
    ...{ teacher: { model: 't' }, students: [{ model: 's' }], data: { train: { path: '/d.jsonl' } } },
    sampling: { maxNewTokens: figures.maxNewTokens },
    algorithm: { beta: figures.beta, ...algorithm },
  })
}

/** The loss of a step's groups, of which `rewards` may be other than the fixture's. */
function lossFor(
  algorithm: Record<string, unknown>,
  { rewards = figures.rewards, onPolicy = false }: { rewards?: number[][]; onPolicy?: boolean } = {},
) {
  const config = configOf(algorithm)
  const advantages = estimateAdvantages(
    {
      rewards: rewards.map(group => group.map(reward => ({ reward }))),
      groups: oldLogProbs.map(logProbs => ({ logProbs })),
      referenceLogProbs,
    },
    config,
  )
  const corrected = importanceSampling(perToken(figures.sampledLogProbs), oldLogProbs, correctionOf(config))
  const importanceWeights = corrected?.weights
  const input = { groups, advantages, referenceLogProbs, importanceWeights }
  return policyLoss(onPolicy ? input : { ...input, oldLogProbs }, config)
}

async function gradientsOf(t: ExecutionContext, loss: ReturnType<typeof policyLoss>) {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const statistics = await model.backward(groups, loss, { temperature })
  return { statistics, gradients: await readGradients(model, parameterNames(model)) }
}

for (const [name, { algorithm, loss, clipped }] of Object.entries(figures.cases))
  test(`${name}: loss and gradients are those of the paper's formula`, async t => {
    const { statistics, gradients } = await gradientsOf(t, lossFor(algorithm))
    t.true(
      Math.abs(statistics.loss - loss) < TOLERANCE * Math.max(1, Math.abs(loss)),
      `${statistics.loss}, ${loss}`,
    )
    t.true(Math.abs(statistics.clipFraction - clipped) < 1e-9, `${statistics.clipFraction}, ${clipped}`)
    const expected = await readExpected(name)
    t.is(expected.size, gradients.size)
    const found = new Map([...gradients].map(([tensor, values]) => [tensor, evenlySpaced(values)]))
    const worst = worstRelativeError(found, expected)
    t.true(worst.error < TOLERANCE, `${worst.name} differs by ${worst.error} of its size`)
  })

test('the entropy is that of the distributions the tokens are from, at the temperature', async t => {
  const { statistics } = await gradientsOf(t, lossFor({ loss: 'grpo' }))
  t.true(Math.abs(statistics.entropy - figures.entropy) < 1e-5, `${statistics.entropy}, ${figures.entropy}`)
})

for (const loss of ['grpo', 'dr-grpo', 'dapo', 'gspo', 'cispo', 'rloo', 'reinforce++'])
  test(`${loss}: in the first update the old policy is the present one`, async t => {
    const model = await loadTiny(t, 'llama-tied', { trainable: true })
    const present = await model.logProbs(groups, { temperature })
    const implied = await gradientsOf(t, lossFor({ loss }, { onPolicy: true }))
    const given = await gradientsOf(t, { ...lossFor({ loss }), oldLogProbs: present })
    t.is(implied.statistics.ratioMean, 1)
    t.is(implied.statistics.clipFraction, 0)
    t.true(worstRelativeError(given.gradients, implied.gradients).error < TOLERANCE)
  })

test('where nothing is to be learned, there is no gradient', async t => {
  const same = figures.rewards.map(group => group.map(() => 0.1))
  for (const loss of ['grpo', 'dr-grpo', 'dapo', 'gspo', 'cispo', 'rloo', 'reinforce++']) {
    const { gradients } = await gradientsOf(t, lossFor({ loss, beta: 0 }, { rewards: same }))
    t.true(
      [...gradients.values()].every(values => values.every(value => value === 0)),
      loss,
    )
  }
})

test('a completion whose reward is not finite is as if its tokens had no say', async t => {
  const rewards = figures.rewards.map((group, g) => (g === 0 ? [...group.slice(0, 3), Number.NaN] : group))
  for (const loss of ['grpo', 'rloo', 'reinforce++']) {
    const { advantages } = lossFor({ loss }, { rewards })
    const left = advantages[0]![3]!
    t.true(typeof left === 'number' ? left === 0 : left.every(value => value === 0), loss)
    t.true(
      advantages
        .flatMap(group => [...group].flatMap(a => (typeof a === 'number' ? [a] : [...a])))
        .every(Number.isFinite),
      loss,
    )
  }
})

test('importance weights are bounded by their cap, and what is above it is counted', t => {
  const logProbs = (...values: number[]) => [[Float32Array.from(values)]]
  const [sampled, recomputed] = [logProbs(-1, -1, -3), logProbs(-1, -1.5, -1)]
  const truncated = importanceSampling(sampled, recomputed, { correct: 'truncated', cap: 2 })!
  t.deepEqual([...truncated.weights[0]![0]!], [1, Math.fround(Math.exp(-0.5)), 2])
  const masked = importanceSampling(sampled, recomputed, { correct: 'masked', cap: 2 })!
  t.deepEqual([...masked.weights[0]![0]!], [1, Math.fround(Math.exp(-0.5)), 0])
  for (const { capped } of [truncated, masked]) t.is(capped, 1 / 3)
  t.true(Math.abs(masked.mean - (1 + Math.exp(-0.5)) / 3) < 1e-12)
  t.is(importanceSampling(sampled, recomputed, { correct: 'none', cap: 2 }), undefined)
})
