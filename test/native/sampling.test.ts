import test, { type ExecutionContext } from 'ava'
import type { Model, SampledGroup } from '../../lib/engine/index.js'
import { EngineError } from '../../lib/errors.js'
import { architectures, largestDifference, loadTiny } from '../helpers/engine.js'

const prompts = [[3], [40, 41, 42, 43, 44], Array.from({ length: 37 }, (_, i) => 50 + 3 * i)]
const length = 24
const free = { maxNewTokens: length, stop: [] }

function tokensOf(groups: readonly SampledGroup[]): number[][][] {
  return groups.map(group => group.suffixes.map(suffix => [...suffix]))
}

/** The fewest bytes with which one sample fits, as the refusal of a smaller cache says. */
async function cacheForOne(t: ExecutionContext, model: Model, prefix: number[], maxNewTokens: number) {
  const refused = await t.throwsAsync(model.sample([{ prefix }], { maxNewTokens, cacheBytes: 1 }), {
    instanceOf: EngineError,
    code: 'ERR_OUT_OF_MEMORY',
  })
  const needed = Number(/need up to (\d+) bytes/.exec(refused.message)?.[1])
  t.true(needed > 0)
  return needed
}

for (const name of architectures) {
  test(`${name}: a seed gives the same tokens whatever else is in the batch`, async t => {
    const model = await loadTiny(t, name)
    const requests = prompts.map((prefix, i) => ({ prefix, samples: 3, seed: 100 + i }))
    const together = tokensOf(await model.sample(requests, free))
    const reversed = tokensOf(await model.sample(requests.toReversed(), free)).reverse()
    t.deepEqual(reversed, together)
    for (const [i, request] of requests.entries()) {
      t.deepEqual(tokensOf(await model.sample([request], free))[0], together[i])
      const [first] = tokensOf(await model.sample([{ ...request, samples: 1 }], free))
      t.deepEqual(first, together[i]!.slice(0, 1))
    }
    const others = tokensOf(
      await model.sample(
        prompts.map(prefix => ({ prefix, samples: 3 })),
        { ...free, seed: 7 },
      ),
    )
    t.notDeepEqual(others, together)
    t.is(new Set(together.flat().map(String)).size, 9)
  })

  test(`${name}: sampled log-probabilities are those of scoring the samples`, async t => {
    const model = await loadTiny(t, name)
    for (const temperature of [1, 0.7]) {
      const groups = await model.sample(
        prompts.map(prefix => ({ prefix, samples: 4 })),
        { ...free, temperature, topK: 50 },
      )
      const scored = await model.logProbs(groups, { temperature })
      const sampled = groups.map(group => group.logProbs)
      t.true(largestDifference(t, sampled, scored) < 1e-3) // what training allows its sampler to be off by
    }
    const greedy = await model.sample([{ prefix: prompts[1]! }], { ...free, temperature: 0 })
    t.true(
      largestDifference(
        t,
        greedy.map(group => group.logProbs),
        await model.logProbs(greedy),
      ) < 1e-3,
    )
  })
}

test('request i without a seed of its own takes the seed of the options plus i', async t => {
  const model = await loadTiny(t)
  const given = await model.sample(
    prompts.map((prefix, i) => ({ prefix, seed: 5 + i })),
    free,
  )
  t.deepEqual(
    await model.sample(
      prompts.map(prefix => ({ prefix })),
      { ...free, seed: 5n },
    ),
    given,
  )
})

test('a cache with room for one sequence at a time gives the same tokens', async t => {
  const model = await loadTiny(t, 'qwen3')
  const requests = prompts.map(prefix => ({ prefix, samples: 4 }))
  const ample = tokensOf(await model.sample(requests, free))
  const needed = await cacheForOne(t, model, prompts[2]!, length)
  t.deepEqual(tokensOf(await model.sample(requests, { ...free, cacheBytes: needed })), ample)
  t.deepEqual(tokensOf(await model.sample(requests, { ...free, cacheBytes: 2.5 * needed })), ample)
})

test('samples that end with their first token make room for those that wait', async t => {
  const model = await loadTiny(t, 'qwen3')
  const requests = prompts.map(prefix => ({ prefix, samples: 4 }))
  const ample = tokensOf(await model.sample(requests, { ...free, maxNewTokens: 1 }))
  const cacheBytes = await cacheForOne(t, model, prompts[2]!, 1)
  t.deepEqual(tokensOf(await model.sample(requests, { ...free, maxNewTokens: 1, cacheBytes })), ample)
})

test('a stop token ends its sample and is the last token of it', async t => {
  const model = await loadTiny(t)
  const requests = prompts.map(prefix => ({ prefix, samples: 3 }))
  const whole = tokensOf(await model.sample(requests, free))
  const stop = [whole[0]![0]![5]!, whole[1]![2]![11]!]
  const stopped = await model.sample(requests, { ...free, stop })
  for (const [g, group] of stopped.entries()) {
    for (const [s, suffix] of group.suffixes.entries()) {
      const place = whole[g]![s]!.findIndex(token => stop.includes(token))
      t.deepEqual([...suffix], place < 0 ? whole[g]![s]! : whole[g]![s]!.slice(0, place + 1))
      t.is(group.finish[s], place < 0 ? 'length' : 'stop')
      t.is(group.logProbs[s]!.length, suffix.length)
    }
  }
})

test("the model's end-of-sequence token stops a sample by default", async t => {
  const model = await loadTiny(t)
  const options = { maxNewTokens: 200, temperature: 3 }
  const requests = [{ prefix: prompts[0]!, samples: 8 }]
  const [byDefault] = await model.sample(requests, options)
  t.deepEqual(model.configuration.endOfSequenceTokens, [2])
  t.deepEqual([byDefault], await model.sample(requests, { ...options, stop: [2] }))
  t.true(byDefault!.finish.includes('stop'))
})

test('a stop string is found across the boundary of two tokens', async t => {
  const model = await loadTiny(t)
  const requests = prompts.map(prefix => ({ prefix, samples: 4 }))
  const whole = await model.sample(requests, { ...free, maxNewTokens: 60 })
  // The last character of one token and the first of the next, neither token holding both.
  const texts = whole.flatMap(group =>
    group.suffixes.flatMap(suffix =>
      [...suffix]
        .slice(0, -1)
        .map((token, i) => [token, suffix[i + 1]!].map(one => model.tokenizer.decode([one]))),
    ),
  )
  const pair = texts.find(([a, b]) => /^[a-zA-Z0-9]+$/.test(a!) && /^[a-zA-Z0-9]+$/.test(b!))
  t.truthy(pair)
  const stop = pair![0]!.slice(-1) + pair![1]![0]

  let found = 0
  const stopped = await model.sample(requests, { ...free, maxNewTokens: 60, stop: [stop] })
  for (const [g, group] of stopped.entries()) {
    for (const [s, suffix] of group.suffixes.entries()) {
      const full = whole[g]!.suffixes[s]!
      const lengths = Array.from(full, (_, i) => i + 1)
      const completed = lengths.find(n => model.tokenizer.decode(full.subarray(0, n)).includes(stop))
      t.deepEqual([...suffix], [...full.subarray(0, completed)])
      t.is(group.finish[s], completed === undefined ? 'length' : 'stop')
      if (completed !== undefined) found++
    }
  }
  t.true(found > 0)
})

test('samples end at the end of the context', async t => {
  const model = await loadTiny(t)
  const prefix = Array.from({ length: 250 }, (_, i) => 3 + (i % 290))
  const [group] = await model.sample([{ prefix, samples: 2 }], { ...free, maxNewTokens: 50 })
  t.deepEqual(
    group!.suffixes.map(suffix => suffix.length),
    [6, 6],
  )
  t.deepEqual(group!.finish, ['length', 'length'])
})

test('no new tokens, no samples and no requests give empty results', async t => {
  const model = await loadTiny(t)
  const [none] = await model.sample([{ prefix: [5], samples: 2 }], { ...free, maxNewTokens: 0 })
  t.deepEqual(
    none!.suffixes.map(suffix => suffix.length),
    [0, 0],
  )
  const [zero, one] = await model.sample([{ prefix: [5], samples: 0 }, { prefix: [6] }], free)
  t.deepEqual(zero!.suffixes, [])
  t.is(one!.suffixes[0]!.length, length)
  t.deepEqual(await model.sample([], free), [])
})

test('listeners hear every token in order and every sample once', async t => {
  const model = await loadTiny(t)
  const heard = new Map<string, number[]>()
  const finished: string[] = []
  const groups = await model.sample(
    prompts.map(prefix => ({ prefix, samples: 2 })),
    {
      ...free,
      onToken: ({ request, sample, token }) => {
        const key = `${request} ${sample}`
        heard.set(key, [...(heard.get(key) ?? []), token])
      },
      onSample: ({ request, sample, tokens }) => {
        finished.push(`${request} ${sample}`)
        t.deepEqual([...tokens], heard.get(`${request} ${sample}`))
      },
    },
  )
  t.deepEqual(finished.toSorted(), ['0 0', '0 1', '1 0', '1 1', '2 0', '2 1'])
  t.deepEqual(
    tokensOf(groups).flat(),
    ['0 0', '0 1', '1 0', '1 1', '2 0', '2 1'].map(key => heard.get(key)!),
  )
})

test('what a listener throws rejects the call', async t => {
  const model = await loadTiny(t)
  const failing = model.sample([{ prefix: [5] }], {
    ...free,
    onToken: () => {
      throw new RangeError('from the listener')
    },
  })
  await t.throwsAsync(failing, { instanceOf: RangeError, message: 'from the listener' })
})
