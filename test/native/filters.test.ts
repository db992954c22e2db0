import test from 'ava'
import type { Model, SampleOptions } from '../../lib/engine/index.js'
import { loadTiny } from '../helpers/engine.js'

type Filters = Pick<SampleOptions, 'topK' | 'topP' | 'minP'>

const prompt = [40, 41, 42, 43, 44]
const everyFilter: Record<string, Filters> = {
  'no filter': {},
  'top-k': { topK: 7 },
  'top-p': { topP: 0.8 },
  'min-p': { minP: 0.05 },
  'top-k and top-p': { topK: 20, topP: 0.7 },
  'top-k and min-p': { topK: 20, minP: 0.2 },
  'all filters': { topK: 30, topP: 0.9, minP: 0.02 },
}

/** The probability of every token of the vocabulary after a prefix: each is scored as a suffix of its own. */
async function distribution(model: Model, prefix: readonly number[], temperature: number): Promise<number[]> {
  const suffixes = Array.from({ length: model.configuration.vocabularySize }, (_, token) => [token])
  const [values] = await model.logProbs([{ prefix, suffixes }], { temperature })
  return values!.map(value => Math.exp(value[0]!))
}

/**
 * Tokens that the filters leave, in the order of transformers: top-k, top-p of what is left, min-p. `slack` widens the
 * limits by the rounding of fp32 probabilities: tokens on the very edge may go either way.
 */
function allowed(
  probabilities: readonly number[],
  { topK = 0, topP = 1, minP = 0 }: Filters,
  slack = 0,
): Set<number> {
  let kept = probabilities.map((_, token) => token).sort((a, b) => probabilities[b]! - probabilities[a]!)
  const largest = probabilities[kept[0]!]!
  if (topK > 0) kept = kept.slice(0, topK)
  if (topP < 1) {
    const total = kept.reduce((sum, token) => sum + probabilities[token]!, 0)
    let before = 0
    kept = kept.filter(token => {
      const keep = before < (topP + slack) * total
      before += probabilities[token]!
      return keep
    })
  }
  return new Set(kept.filter(token => probabilities[token]! >= minP * largest * (1 - slack)))
}

/** Pearson's statistic over bins that expect at least five draws, the rest in one bin; and its degrees of freedom. */
function chiSquare(counts: readonly number[], probabilities: readonly number[], draws: number) {
  const bins: { seen: number; expected: number }[] = []
  const rest = { seen: 0, expected: 0 }
  probabilities.forEach((probability, token) => {
    const expected = probability * draws
    if (expected >= 5) {
      bins.push({ seen: counts[token]!, expected })
    } else {
      rest.seen += counts[token]!
      rest.expected += expected
    }
  })
  if (rest.expected >= 5) bins.push(rest)
  const statistic = bins.reduce((sum, { seen, expected }) => sum + (seen - expected) ** 2 / expected, 0)
  return { statistic, freedom: bins.length - 1 }
}

/** Chi-square's quantile 4 standard deviations out (3 in 100,000 beyond), after Wilson and Hilferty 1931. */
function chiSquareBound(freedom: number): number {
  const spread = 2 / (9 * freedom)
  return freedom * (1 - spread + 4 * Math.sqrt(spread)) ** 3
}

for (const [name, filters] of Object.entries(everyFilter)) {
  test(`${name}: first tokens are drawn as often as they are probable`, async t => {
    const model = await loadTiny(t)
    const draws = 4000
    const temperature = 1.3
    const options = { ...filters, temperature, maxNewTokens: 1, stop: [], seed: 12 }
    const [group] = await model.sample([{ prefix: prompt, samples: draws }], options)
    const probabilities = await distribution(model, prompt, temperature)
    const kept = allowed(probabilities, filters)
    const mass = [...kept].reduce((sum, token) => sum + probabilities[token]!, 0)
    const counts = new Array<number>(probabilities.length).fill(0)
    for (const [token] of group!.suffixes) counts[token!]! += 1
    const expected = probabilities.map((probability, token) => (kept.has(token) ? probability / mass : 0))
    const { statistic, freedom } = chiSquare(counts, expected, draws)
    t.true(freedom >= 2)
    t.true(statistic < chiSquareBound(freedom), `${statistic} with ${freedom} degrees of freedom`)
  })

  test(`${name}: every token of a continuation is one that the filters leave`, async t => {
    const model = await loadTiny(t, 'qwen3')
    const temperature = 1.5
    const options = { ...filters, temperature, maxNewTokens: 6, stop: [] }
    const [group] = await model.sample([{ prefix: prompt, samples: 8 }], options)
    for (const suffix of group!.suffixes) {
      for (const [i, token] of suffix.entries()) {
        const probabilities = await distribution(model, [...prompt, ...suffix.subarray(0, i)], temperature)
        t.true(allowed(probabilities, filters, 1e-4).has(token), `token ${token} at place ${i}`)
      }
    }
  })
}

test('second tokens are drawn as often as they are probable', async t => {
  const model = await loadTiny(t, 'qwen2')
  const draws = 4000
  const [group] = await model.sample([{ prefix: prompt, samples: draws }], {
    maxNewTokens: 2,
    topK: 2,
    stop: [],
  })
  const firsts = new Set(group!.suffixes.map(suffix => suffix[0]!))
  t.is(firsts.size, 2)
  for (const first of firsts) {
    const drawn = group!.suffixes.filter(suffix => suffix[0] === first)
    const probabilities = await distribution(model, [...prompt, first], 1)
    const [a, b] = [...allowed(probabilities, { topK: 2 })] as [number, number]
    const share = probabilities[a]! / (probabilities[a]! + probabilities[b]!)
    const seen = drawn.filter(suffix => suffix[1] === a).length
    t.is(seen + drawn.filter(suffix => suffix[1] === b).length, drawn.length)
    // Four standard deviations of a binomial count.
    t.true(Math.abs(seen - share * drawn.length) < 4 * Math.sqrt(drawn.length * share * (1 - share)) + 1)
  }
})

test('one candidate left is the most probable one', async t => {
  const model = await loadTiny(t)
  const requests = [{ prefix: prompt, samples: 2 }]
  const common = { maxNewTokens: 20, stop: [] }
  const [greedy] = await model.sample(requests, { ...common, temperature: 0 })
  for (const filters of [{ topK: 1 }, { topP: 1e-9 }, { minP: 1 }]) {
    const [group] = await model.sample(requests, { ...common, ...filters })
    t.deepEqual(group!.suffixes, greedy!.suffixes)
  }
})
