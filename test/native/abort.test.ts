import test from 'ava'
import { Model } from '../../lib/engine/index.js'
import { AbortedError } from '../../lib/errors.js'
import { largestDifference, loadTiny, meanLoss, modelFolder, parameterNames } from '../helpers/engine.js'

const aborted = { instanceOf: AbortedError, name: 'AbortError' }
const groups = Array.from({ length: 6 }, (_, g) => ({
  prefix: Array.from({ length: 60 }, (_, i) => 3 + ((i * 7 + g) % 290)),
  suffixes: Array.from({ length: 3 }, (_, s) =>
    Array.from({ length: 50 }, (_, i) => 3 + ((i * 11 + s + g) % 290)),
  ),
}))

async function gradientsAreZero(model: Model): Promise<boolean> {
  for (const name of parameterNames(model)) {
    if ((await model.readGradient(name)).some(value => value !== 0)) return false
  }
  return true
}

test('a call whose signal was aborted before does not begin', async t => {
  const signal = AbortSignal.abort()
  await t.throwsAsync(Model.load(modelFolder('qwen2'), { signal, device: 'cpu' }), aborted)
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  await t.throwsAsync(model.logProbs(groups, { signal }), aborted)
  await t.throwsAsync(model.sample([{ prefix: [3] }], { maxNewTokens: 4, signal }), aborted)
  await t.throwsAsync(model.backward(groups, meanLoss(groups), { signal }), aborted)
  t.true(await gradientsAreZero(model))
})

test('sampling stops where it is aborted, and the model goes on working', async t => {
  const model = await loadTiny(t)
  const request = [{ prefix: [3], samples: 2 }]
  const controller = new AbortController()
  let tokens = 0
  const running = model.sample(request, {
    ...{ maxNewTokens: 250, stop: [], signal: controller.signal },
    onToken: () => {
      tokens += 1
      if (tokens === 10) controller.abort(new Error('enough'))
    },
  })
  const error = await t.throwsAsync(running, aborted)
  t.truthy(error)
  const heard = tokens
  const [again] = await model.sample(request, { maxNewTokens: 5, stop: [] })
  t.is(again!.suffixes[0]!.length, 5)
  t.is(tokens, heard, 'no token comes after the call has ended')
})

test('scoring stops at the batch in which it is aborted', async t => {
  const model = await loadTiny(t)
  const expected = await model.logProbs(groups)
  const controller = new AbortController()
  const shares: number[] = []
  const running = model.logProbs(groups, {
    ...{ tokenBudget: 100, signal: controller.signal },
    onProgress: share => {
      shares.push(share)
      if (shares.length === 2) controller.abort()
    },
  })
  await t.throwsAsync(running, aborted)
  t.is(shares.length, 2)
  t.true(largestDifference(t, await model.logProbs(groups), expected) === 0)
})

test('progress rises to 1', async t => {
  const model = await loadTiny(t)
  const shares: number[] = []
  await model.logProbs(groups, { tokenBudget: 100, onProgress: share => shares.push(share) })
  t.true(shares.length >= groups.length)
  t.deepEqual(
    shares,
    shares.toSorted((a, b) => a - b),
  )
  t.is(shares.at(-1), 1)
})

test('a backward pass that is aborted between batches leaves no gradients', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const controller = new AbortController()
  const running = model.backward(groups, meanLoss(groups), {
    ...{ tokenBudget: 100, signal: controller.signal },
    onProgress: () => controller.abort(),
  })
  await t.throwsAsync(running, aborted)
  t.true(await gradientsAreZero(model))
})

test('a backward pass that is aborted within a batch leaves no gradients', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const large = Array.from({ length: 8 }, () => groups).flat()
  const options = { tokenBudget: 1e6 }
  await model.backward(large, meanLoss(large), options)
  await model.zeroGradients()
  const start = performance.now()
  await model.backward(large, meanLoss(large), options)
  const duration = performance.now() - start
  let stopped = 0
  for (let share = 0.1; share < 1; share += 0.1) {
    await model.zeroGradients()
    const signal = AbortSignal.timeout(Math.max(1, Math.round(share * duration)))
    const finished = await model.backward(large, meanLoss(large), { ...options, signal }).then(
      () => true,
      error => {
        t.true(error instanceof AbortedError)
        return false
      },
    )
    if (finished) continue
    stopped += 1
    t.true(await gradientsAreZero(model), `aborted after ${share.toFixed(1)} of the pass`)
  }
  t.true(stopped > 0)
})

test('calls that are made at once give what they give one by one', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const requests = [{ prefix: [3], samples: 3 }]
  const scored = await model.logProbs(groups)
  const sampled = await model.sample(requests, { maxNewTokens: 40 })
  const results = await Promise.all([
    model.logProbs(groups, { tokenBudget: 100 }),
    model.sample(requests, { maxNewTokens: 40 }),
    model.backward(groups, meanLoss(groups), { tokenBudget: 100 }),
    model.sample(requests, { maxNewTokens: 40 }),
  ])
  // The budget only changes the order of sums in fp32.
  t.true(largestDifference(t, results[0], scored) < 2e-5)
  t.true(largestDifference(t, results[2].logProbs, scored) < 2e-5)
  t.deepEqual(results[1], sampled)
  t.deepEqual(results[3], sampled)
})
