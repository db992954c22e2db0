import test from 'ava'
import type { GrpoLoss, LossStatistics, Model, TokenGroup } from '../../lib/engine/index.js'
import {
  architectures,
  largestDifference,
  loadTiny,
  lossOf,
  meanLoss,
  parameterNames,
  perToken,
  readFigures,
  readGradients,
  worstRelativeError,
} from '../helpers/engine.js'

// The same sums in another order: fp32 gives about 1e-6 of logits up to 10, and 1e-5 of gradients summed over tokens.
const TOLERANCE = 2e-5

function unshared(groups: readonly TokenGroup[]): TokenGroup[] {
  return groups.flatMap(({ prefix, suffixes }) => suffixes.map(suffix => ({ prefix, suffixes: [suffix] })))
}

async function gradientsOf(model: Model, run: () => Promise<LossStatistics>) {
  await model.zeroGradients()
  const statistics = await run()
  return { statistics, gradients: await readGradients(model, parameterNames(model)) }
}

for (const name of architectures) {
  test(`${name}: a group gives what its sequences give one by one`, async t => {
    const model = await loadTiny(t, name, { trainable: true })
    const { groups } = await readFigures(name)
    const together = await model.logProbs(groups)
    const apart = await model.logProbs(unshared(groups))
    t.true(largestDifference(t, [together.flat()], [apart.flat()]) < TOLERANCE)

    const shared = await gradientsOf(model, () => model.backward(groups, meanLoss(groups)))
    const single = await gradientsOf(model, () =>
      model.backward(unshared(groups), meanLoss(unshared(groups))),
    )
    t.true(worstRelativeError(shared.gradients, single.gradients).error < TOLERANCE)
    t.true(Math.abs(shared.statistics.loss - single.statistics.loss) < TOLERANCE)
  })
}

for (const tokenBudget of [1, 20, 75]) {
  test(`a token budget of ${tokenBudget} gives what one large batch gives`, async t => {
    const model = await loadTiny(t, 'qwen3', { trainable: true })
    const { groups, grpo } = await readFigures('qwen3')
    t.true(
      largestDifference(t, await model.logProbs(groups, { tokenBudget }), await model.logProbs(groups)) <
        TOLERANCE,
    )
    const whole = await gradientsOf(model, () => model.backward(groups, lossOf(grpo)))
    const split = await gradientsOf(model, () => model.backward(groups, lossOf(grpo), { tokenBudget }))
    t.true(worstRelativeError(split.gradients, whole.gradients).error < TOLERANCE)
    for (const key of ['loss', 'klReference', 'ratioMean', 'clipFraction'] as const) {
      t.true(Math.abs(split.statistics[key] - whole.statistics[key]) < TOLERANCE, key)
    }
    t.is(split.statistics.tokens, whole.statistics.tokens)
  })
}

test('gradients of several calls add up', async t => {
  const model = await loadTiny(t, 'qwen2', { trainable: true })
  const { groups, sft } = await readFigures('qwen2')
  const once = await gradientsOf(model, () => model.backward(groups, lossOf(sft)))
  const twice = await gradientsOf(model, async () => {
    await model.backward(groups, lossOf(sft))
    return model.backward(groups, lossOf(sft))
  })
  for (const values of once.gradients.values())
    values.forEach((value, i) => {
      values[i] = 2 * value
    })
  t.true(worstRelativeError(twice.gradients, once.gradients).error < TOLERANCE)
})

test('without old log-probabilities the ratio is 1 and its gradient the same', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const { groups, grpo } = await readFigures('llama-tied')
  const { oldLogProbs: _, ...onPolicy } = lossOf(grpo) as GrpoLoss
  const absent = await gradientsOf(model, () => model.backward(groups, onPolicy, { temperature: 0.7 }))
  t.is(absent.statistics.ratioMean, 1)
  t.is(absent.statistics.clipFraction, 0)
  const oldLogProbs = await model.logProbs(groups, { temperature: 0.7 })
  const given = await gradientsOf(model, () =>
    model.backward(groups, { ...onPolicy, oldLogProbs }, { temperature: 0.7 }),
  )
  t.true(Math.abs(given.statistics.ratioMean - 1) < TOLERANCE)
  t.true(worstRelativeError(given.gradients, absent.gradients).error < TOLERANCE)
})

test('statistics of a GRPO loss are those of its definition', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const figures = await readFigures('llama-tied')
  const { oldLogProbs, referenceLogProbs, advantages, clipLow, clipHigh } = figures.grpo.inputs
  const statistics = await model.backward(figures.groups, lossOf(figures.grpo), { temperature: 0.7 })
  const ratios: number[] = []
  let k3 = 0
  let clipped = 0
  figures['logProbsAt0.7'].forEach((group, g) => {
    group.forEach((suffix, s) => {
      suffix.forEach((logProb, i) => {
        const ratio = Math.exp(logProb - oldLogProbs[g]![s]![i]!)
        const difference = referenceLogProbs[g]![s]![i]! - logProb
        ratios.push(ratio)
        k3 += Math.exp(difference) - difference - 1
        if (advantages[g]![s]! > 0 ? ratio > 1 + clipHigh : ratio < 1 - clipLow) clipped++
      })
    })
  })
  t.is(statistics.tokens, ratios.length)
  t.true(Math.abs(statistics.ratioMean - ratios.reduce((a, b) => a + b) / ratios.length) < 1e-4)
  t.true(Math.abs(statistics.klReference - k3 / ratios.length) < 1e-4)
  t.true(clipped > 0)
  t.true(Math.abs(statistics.clipFraction - clipped / ratios.length) < 1e-9)
  t.true(largestDifference(t, statistics.logProbs, figures['logProbsAt0.7']) < 1e-4)
})

test('after an empty prefix the first token has no value and the others are as after that token', async t => {
  const model = await loadTiny(t, 'qwen3', { trainable: true })
  const suffix = [5, 17, 200, 31]
  const [[values]] = (await model.logProbs([{ prefix: [], suffixes: [suffix] }])) as [[Float32Array]]
  const [[after]] = (await model.logProbs([{ prefix: [5], suffixes: [suffix.slice(1)] }])) as [[Float32Array]]
  t.true(Number.isNaN(values[0]))
  t.true(largestDifference(t, [[values.slice(1)]], [[after]]) < TOLERANCE)

  const groups = [{ prefix: [], suffixes: [suffix] }]
  const { loss } = await model.backward(groups, { kind: 'sft', weights: perToken([[[0, 1, 1, 1]]]) })
  t.true(Math.abs(loss + after.reduce((a, b) => a + b)) < 1e-4)
})

test('empty suffixes and groups without suffixes take their places in the result', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const groups = [
    { prefix: [4, 5, 6], suffixes: [[], [7, 8], []] },
    { prefix: [9], suffixes: [] },
    { prefix: [], suffixes: [[]] },
  ]
  const result = await model.logProbs(groups)
  t.deepEqual(
    result.map(group => group.map(suffix => suffix.length)),
    [[0, 2, 0], [], [0]],
  )
  const [[alone]] = (await model.logProbs([{ prefix: [4, 5, 6], suffixes: [[7, 8]] }])) as [[Float32Array]]
  t.true(largestDifference(t, [[result[0]![1]!]], [[alone]]) < TOLERANCE)
  const { tokens, loss } = await model.backward(groups, meanLoss(groups))
  t.is(tokens, 2)
  t.true(Number.isFinite(loss))
  t.deepEqual(await model.logProbs([]), [])
})
