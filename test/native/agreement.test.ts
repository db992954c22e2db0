import test from 'ava'
import { AdamW } from '../../lib/engine/index.js'
import {
  architectures,
  largestDifference,
  loadTiny,
  lossOf,
  readFigures,
  readGradients,
  readTensors,
  worstRelativeError,
} from '../helpers/engine.js'

// Against transformers and PyTorch in fp32. Sums of a few hundred terms in another order differ by about 1e-6; 1e-4 is
// what the engine promises.
const TOLERANCE = 1e-4

for (const name of architectures) {
  test(`${name}: log-probabilities agree with transformers`, async t => {
    const model = await loadTiny(t, name)
    const figures = await readFigures(name)
    const plain = await model.logProbs(figures.groups)
    t.true(largestDifference(t, plain, figures.logProbs) < TOLERANCE)
    const cool = await model.logProbs(figures.groups, { temperature: 0.7 })
    t.true(largestDifference(t, cool, figures['logProbsAt0.7']) < TOLERANCE)
  })

  test(`${name}: 64 greedy tokens are those of transformers`, async t => {
    const model = await loadTiny(t, name)
    const { prompt, tokens } = (await readFigures(name)).greedy
    const [group] = await model.sample([{ prefix: prompt }], { maxNewTokens: 64, temperature: 0, stop: [] })
    t.deepEqual([...group!.suffixes[0]!], tokens)
  })

  for (const kind of ['sft', 'grpo'] as const) {
    test(`${name}: gradients of the ${kind} loss agree with autograd`, async t => {
      const model = await loadTiny(t, name, { trainable: true })
      const figures = await readFigures(name)
      const expected = await readTensors(name, kind)
      const { loss } = await model.backward(figures.groups, lossOf(figures[kind]), {
        temperature: figures[kind].temperature,
      })
      t.true(Math.abs(loss - figures[kind].loss) < TOLERANCE, `loss ${loss}, expected ${figures[kind].loss}`)
      const worst = worstRelativeError(await readGradients(model, expected.keys()), expected)
      t.true(worst.error < TOLERANCE, `${worst.name} differs by ${worst.error} of its size`)
    })
  }

  test(`${name}: ten AdamW steps end where PyTorch's do`, async t => {
    const model = await loadTiny(t, name, { trainable: true })
    const { groups, sft, adamw } = await readFigures(name)
    const optimizer = new AdamW(model, { weightDecay: adamw.weightDecay })
    t.teardown(() => optimizer.dispose())
    for (const expected of adamw.gradNorms) {
      await model.backward(groups, lossOf(sft))
      const { gradNorm, clipped, skipped } = await optimizer.step(adamw)
      t.true(Math.abs(gradNorm / expected - 1) < TOLERANCE, `norm ${gradNorm}, expected ${expected}`)
      t.is(clipped, expected > adamw.maxGradNorm)
      t.false(skipped)
    }
    t.is(optimizer.stepCount, adamw.gradNorms.length)
    for (const [tensor, expected] of await readTensors(name, 'adamw')) {
      const values = await model.readParameter(tensor)
      t.true(largestDifference(t, [[values]], [[expected]]) < TOLERANCE, tensor)
    }
  })
}
