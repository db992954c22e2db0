import test from 'ava'
import { AdamW } from '../../lib/engine/index.js'
import {
  architectures,
  largestDifference,
  loadTiny,
  logitDeviation,
  lossOf,
  meanDifference,
  perToken,
  readFigures,
  readGradients,
  readTensors,
  relativeDeviation,
  relativeError,
} from '../helpers/engine.js'

for (const name of architectures) {
  test(`${name}: log-probabilities in bfloat16 are off by no more than its rounding explains`, async t => {
    const model = await loadTiny(t, name, { dtype: 'bfloat16' })
    const figures = await readFigures(name)
    const computed = await model.logProbs(figures.groups)
    const deviation = logitDeviation(model, figures)
    // A log-probability is the difference of two logits' worth of error; among 72 values none lies beyond 4 deviations.
    t.true(largestDifference(t, computed, figures.logProbs) < 4 * Math.SQRT2 * deviation)
    const mean = meanDifference(computed, figures.logProbs)
    t.true(mean < Math.SQRT2 * deviation)
    t.true(mean > 0, 'bfloat16 is not float32')
    // And not coarser than transformers' own bfloat16, whose error over so few values is known to about a quarter.
    const theirs = meanDifference(perToken(figures.bfloat16LogProbs), figures.logProbs)
    t.true(mean < 1.5 * theirs, `${mean}, transformers ${theirs}`)
  })

  test(`${name}: gradients in bfloat16 point where those in fp32 do`, async t => {
    const model = await loadTiny(t, name, { dtype: 'bfloat16', trainable: true })
    const figures = await readFigures(name)
    const expected = await readTensors(name, 'sft')
    await model.backward(figures.groups, lossOf(figures.sft))
    const gradients = await readGradients(model, expected.keys())
    // Errors of the softmax, which are absolute, then those of the way back, which rounds as often as the way here.
    const bound = 2 * (logitDeviation(model, figures) + 2 * relativeDeviation(model.configuration.layers))
    for (const [tensor, values] of expected) {
      const error = relativeError(gradients.get(tensor)!, values)
      t.true(error < bound, `${tensor}: ${error}, at most ${bound}`)
    }
  })

  test(`${name}: bfloat16 samples score as they were sampled`, async t => {
    const model = await loadTiny(t, name, { dtype: 'bfloat16' })
    const figures = await readFigures(name)
    const groups = await model.sample([{ prefix: figures.greedy.prompt, samples: 4 }], {
      maxNewTokens: 32,
      stop: [],
    })
    const scored = await model.logProbs(groups)
    const bound = 4 * Math.SQRT2 * logitDeviation(model, figures)
    t.true(
      largestDifference(
        t,
        groups.map(group => group.logProbs),
        scored,
      ) < bound,
    )
  })
}

test('steps smaller than the spacing of bfloat16 add up in fp32 master weights', async t => {
  const model = await loadTiny(t, 'llama-tied', { dtype: 'bfloat16', trainable: true })
  const optimizer = new AdamW(model)
  t.teardown(() => optimizer.dispose())
  const { groups, sft } = await readFigures('llama-tied')
  const before = await model.readParameter('model.norm.weight') // between 0.6 and 1.4: spaced by 1/256 or 1/128
  const steps = 40
  let first: Float32Array | undefined
  for (let step = 0; step < steps; step++) {
    await model.backward(groups, lossOf(sft))
    await optimizer.step({ learningRate: 2e-4 }) // AdamW's first steps are of about this size
    first ??= await model.readParameter('model.norm.weight')
  }
  const changed = (values: Float32Array) => values.filter((value, i) => value !== before[i]).length
  const after = await model.readParameter('model.norm.weight')
  t.true(changed(first!) < before.length / 4)
  t.true(changed(after) > before.length / 2)
})
