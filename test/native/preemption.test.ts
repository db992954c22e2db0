/** A cache too small for all samples at once: the newest give way, and are computed again. */
import test, { type ExecutionContext } from 'ava'
import {
  type Model,
  type SampledGroup,
  type SampleOptions,
  type SamplingStatistics,
  systemInformation,
} from '../../lib/engine/index.js'
import { EngineError } from '../../lib/errors.js'
import { randomTokens } from '../helpers/changed-models.js'
import { architectures, largestDifference, loadTiny } from '../helpers/engine.js'

const long = { maxNewTokens: 180, stop: [], seed: 11 }

/** Four questions of four samples each. */
function requestsOf(model: Model) {
  return [3, 16, 21, 40].map((length, i) => ({
    prefix: randomTokens(length, model.configuration.vocabularySize, i),
    samples: 4,
  }))
}

async function sampled(model: Model, requests: Parameters<Model['sample']>[0], options: SampleOptions) {
  let statistics: SamplingStatistics | undefined
  const groups = await model.sample(requests, {
    ...options,
    onStatistics: found => {
      statistics = found
    },
  })
  return { groups, statistics: statistics! }
}

const tokensOf = (groups: readonly SampledGroup[]) =>
  groups.map(group => group.suffixes.map(suffix => [...suffix]))

/** The fewest bytes for one sample of the longest request, as the refusal of a smaller cache says. */
async function cacheForOne(t: ExecutionContext, model: Model, options: SampleOptions): Promise<number> {
  const error = await t.throwsAsync(model.sample(requestsOf(model), { ...options, cacheBytes: 1 }), {
    instanceOf: EngineError,
    code: 'ERR_OUT_OF_MEMORY',
    message: /Request 3: .* raise cacheBytes/,
  })
  return Number(/need up to (\d+) bytes/.exec(error.message)![1])
}

for (const name of architectures) {
  test(`${name}: sixteen samples in a cache for two are those of a large one`, async t => {
    const model = await loadTiny(t, name)
    const ample = await sampled(model, requestsOf(model), long)
    t.is(ample.statistics.preemptions, 0)
    t.is(ample.statistics.recomputedTokens, 0)
    t.is(ample.statistics.peakSequences, 16)

    const one = await cacheForOne(t, model, long)
    for (const prefillTokens of [9, 2048]) {
      const cacheBytes = 2 * one
      const scarce = await sampled(model, requestsOf(model), { ...long, cacheBytes, prefillTokens })
      t.deepEqual(tokensOf(scarce.groups), tokensOf(ample.groups))
      const [found, expected] = [scarce, ample].map(({ groups }) => groups.map(({ logProbs }) => logProbs))
      // The same sums in another order: fp32 gives about 1e-6 of logits up to 10.
      t.true(largestDifference(t, found!, expected!) < 2e-5)
      t.true(scarce.statistics.preemptions > 0)
      t.true(scarce.statistics.recomputedTokens > 0)
      t.true(scarce.statistics.peakSequences >= 2 && scarce.statistics.peakSequences < 16)
      t.true(scarce.statistics.peakCacheBytes <= cacheBytes)
      t.true(scarce.statistics.peakCacheBytes > 0.9 * cacheBytes)
    }
  })
}

test('in bfloat16 samples that gave way are the same to the last bit', async t => {
  const model = await loadTiny(t, 'qwen3', { dtype: 'bfloat16' })
  const ample = await sampled(model, requestsOf(model), long)
  const cacheBytes = 2 * (await cacheForOne(t, model, long))
  const scarce = await sampled(model, requestsOf(model), { ...long, cacheBytes })
  t.true(scarce.statistics.preemptions > 0)
  // The kernels of other CPUs may add in another order for other numbers of rows.
  if (systemInformation().bfloat16Fast) t.deepEqual(scarce.groups, ample.groups)
})

test('a cache for one sample is enough for all, one after another', async t => {
  const model = await loadTiny(t, 'qwen3')
  const cacheBytes = await cacheForOne(t, model, long)
  const ample = await sampled(model, requestsOf(model), long)
  const scarce = await sampled(model, requestsOf(model), { ...long, cacheBytes })
  t.deepEqual(tokensOf(scarce.groups), tokensOf(ample.groups))
  await t.throwsAsync(model.sample(requestsOf(model), { ...long, cacheBytes: cacheBytes - 1 }), {
    code: 'ERR_OUT_OF_MEMORY',
  })
})

test('whatever the budget and the pieces, the tokens are the same', async t => {
  const model = await loadTiny(t)
  const requests = requestsOf(model)
  const stop = [7, 70, 170]
  const ample = await sampled(model, requests, { ...long, stop })
  t.true(ample.groups.some(({ finish }) => finish.includes('stop')))
  const one = await cacheForOne(t, model, long)
  let preempted = 0
  for (let i = 0; i < 24; i++) {
    const cacheBytes = Math.floor(one * (1 + i / 6))
    const prefillTokens = [3, 30, 300][i % 3]!
    const { groups, statistics } = await sampled(model, requests, {
      ...long,
      stop,
      cacheBytes,
      prefillTokens,
    })
    t.deepEqual(tokensOf(groups), tokensOf(ample.groups), `${cacheBytes} bytes`)
    preempted += statistics.preemptions
  }
  t.true(preempted > 0)
})

test('samples that need not grow far are let in with all they need, and never give way', async t => {
  const model = await loadTiny(t)
  const short = { ...long, maxNewTokens: 60 }
  const one = await cacheForOne(t, model, short)
  const { statistics } = await sampled(model, requestsOf(model), { ...short, cacheBytes: 2 * one })
  t.is(statistics.preemptions, 0)
})

test('listeners hear each token of a sample once, given way or not', async t => {
  const model = await loadTiny(t)
  const cacheBytes = 2 * (await cacheForOne(t, model, long))
  const heard = new Map<string, number[]>()
  const { groups, statistics } = await sampled(model, requestsOf(model), {
    ...long,
    cacheBytes,
    onToken: ({ request, sample, token }) => {
      const key = `${request} ${sample}`
      heard.set(key, [...(heard.get(key) ?? []), token])
    },
  })
  t.true(statistics.preemptions > 0)
  t.is(heard.size, 16)
  for (const [r, group] of groups.entries())
    for (const [s, suffix] of group.suffixes.entries()) t.deepEqual(heard.get(`${r} ${s}`), [...suffix])
})

test('a sample that a stop text ends while it waits does not come back', async t => {
  const model = await loadTiny(t)
  const requests = requestsOf(model)
  const whole = await model.sample(requests, long)
  // A text that some samples hold well into their continuation.
  const text = model.tokenizer.decode(whole[2]!.suffixes[1]!.subarray(90, 93))
  const ample = await model.sample(requests, { ...long, stop: [text] })
  t.true(ample.some(({ finish }) => finish.includes('stop')))
  const cacheBytes = 2 * (await cacheForOne(t, model, long))
  t.deepEqual(tokensOf(await model.sample(requests, { ...long, stop: [text], cacheBytes })), tokensOf(ample))
})
