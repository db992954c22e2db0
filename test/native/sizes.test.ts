/**
 * Sizes at which the engine divides its work: vocabularies in slices, long sequences in chunks of queries, matrix
 * products in parts, samples in batches. Whatever the division, the result is that of undivided work.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { LossStatistics, Model, SampledGroup, TokenGroup } from '../../lib/engine/index.js'
import { readSafetensorsFile, safetensorsHeader } from '../../lib/models/index.js'
import { copyOf, load, loadLong, randomNumbers, randomTokens } from '../helpers/changed-models.js'
import {
  architectures,
  largestDifference,
  meanLoss,
  parameterNames,
  readGradients,
  relativeError,
  worstRelativeError,
} from '../helpers/engine.js'

// The same sums in another order: fp32 gives about 1e-6 of logits up to 10, and 1e-5 of gradients summed over tokens.
const TOLERANCE = 2e-5

/** Three blocks of 1,024 tokens when drawing, and nothing that a vector width divides. */
const wideVocabulary = 2503

/** llama-tied with random embeddings of more tokens. */
async function loadWide(t: ExecutionContext): Promise<Model> {
  const folder = await copyOf(t, 'llama-tied', { vocab_size: wideVocabulary })
  const file = join(folder, 'model.safetensors')
  const [{ entries }, bytes] = await Promise.all([readSafetensorsFile(file), readFile(file)])
  const embedding = entries.find(({ name }) => name === 'model.embed_tokens.weight')!
  const width = embedding.shape[1]!
  const random = randomNumbers(1)
  // Uniform numbers of the standard deviation that the tiny models' own embeddings have, 2 / sqrt(width).
  const spread = 2 * Math.sqrt(12 / width)
  const wide = Float32Array.from({ length: wideVocabulary * width }, () => spread * (random() - 0.5))

  const { header } = safetensorsHeader(
    entries.map(({ name, shape }) => ({
      ...{ name, dtype: 'F32' as const },
      shape: name === embedding.name ? [wideVocabulary, width] : shape,
    })),
  )
  const values = entries.map(({ name, offset, byteLength }) =>
    name === embedding.name ? new Uint8Array(wide.buffer) : bytes.subarray(offset, offset + byteLength),
  )
  await writeFile(file, Buffer.concat([header, ...values]))
  return load(t, folder, 'float32')
}

async function gradientsOf(model: Model, run: () => Promise<LossStatistics>) {
  await model.zeroGradients()
  const statistics = await run()
  return { statistics, gradients: await readGradients(model, parameterNames(model)) }
}

test('a vocabulary that is scored in slices gives what it gives in one', async t => {
  const model = await loadWide(t)
  // 8 million logits are held at a time: 9,000 tokens take this vocabulary in three slices, 500 take it whole.
  const groups: TokenGroup[] = Array.from({ length: 30 }, (_, g) => ({
    prefix: randomTokens(5, wideVocabulary, 1000 + g),
    suffixes: Array.from({ length: 6 }, (_, s) => randomTokens(50, wideVocabulary, 6 * g + s)),
  }))
  const whole = { tokenBudget: 500 }
  const sliced = { tokenBudget: 1e6 }
  t.true(
    largestDifference(t, await model.logProbs(groups, sliced), await model.logProbs(groups, whole)) <
      TOLERANCE,
  )
  const expected = await gradientsOf(model, () => model.backward(groups, meanLoss(groups), whole))
  const actual = await gradientsOf(model, () => model.backward(groups, meanLoss(groups), sliced))
  const worst = worstRelativeError(actual.gradients, expected.gradients)
  t.true(worst.error < TOLERANCE, `${worst.name} differs by ${worst.error} of its size`)
  t.true(Math.abs(actual.statistics.loss - expected.statistics.loss) < TOLERANCE)
  t.true(Math.abs(actual.statistics.entropy - expected.statistics.entropy) < TOLERANCE)
})

test('tokens of a wide vocabulary are drawn as often as they are probable', async t => {
  const model = await loadWide(t)
  const prefix = [40, 41, 42]
  const draws = 20_000
  const temperature = 2
  const [group] = await model.sample([{ prefix, samples: draws }], { maxNewTokens: 1, temperature, stop: [] })
  const suffixes = Array.from({ length: wideVocabulary }, (_, token) => [token])
  const [scores] = await model.logProbs([{ prefix, suffixes }], { temperature })
  const probability = (from: number, to: number) =>
    scores!.slice(from, to).reduce((sum, value) => sum + Math.exp(value[0]!), 0)
  t.true(Math.abs(probability(0, wideVocabulary) - 1) < 1e-4)
  // By 16 stretches of tokens, within four standard deviations of a binomial count.
  for (let from = 0; from < wideVocabulary; from += 160) {
    const share = probability(from, from + 160)
    const seen = group!.suffixes.filter(([token]) => token! >= from && token! < from + 160).length
    const deviation = Math.sqrt(draws * share * (1 - share))
    t.true(
      Math.abs(seen - draws * share) < 4 * deviation,
      `tokens from ${from}: ${seen}, not ${draws * share}`,
    )
  }
})

test('thousands of samples at once are those of a few at a time', async t => {
  const model = await loadWide(t)
  // Logits of 3,351 samples at a time: these are chosen for in two parts.
  const requests = [{ prefix: [5, 6], samples: 5000, seed: 3 }]
  const options = { maxNewTokens: 3, stop: [] }
  const tokensOf = (groups: SampledGroup[]) => groups.flatMap(({ suffixes }) => suffixes.map(String))
  const together = tokensOf(await model.sample(requests, options))
  const few = tokensOf(await model.sample(requests, { ...options, cacheBytes: 4e6 }))
  t.is(together.length, 5000)
  const different = together.filter((tokens, i) => tokens !== few[i]).length
  // fp32 products of other shapes differ in their last bits, which moves a draw in some 100,000 across an edge.
  t.true(different <= 5, `${different} samples differ`)
})

for (const name of architectures) {
  // Decoding and scoring attend by kernels that have nothing in common: neither can hide the other's mistake.
  test(`${name}: a long continuation scores as it was sampled`, async t => {
    const model = await loadLong(t, name)
    const requests = [5, 200, 700].map((length, i) => ({
      prefix: randomTokens(length, model.configuration.vocabularySize, i),
      samples: 2,
    }))
    const groups = await model.sample(requests, { maxNewTokens: 600, stop: [] })
    const scored = await model.logProbs(groups)
    const sampled = groups.map(group => group.logProbs)
    t.true(largestDifference(t, sampled, scored) < 1e-4) // fp32 over 1,300 keys: about 1e-5
  })

  test(`${name}: where a long sequence is divided changes nothing`, async t => {
    const model = await loadLong(t, name)
    const tokens = randomTokens(1200, model.configuration.vocabularySize, 4)
    const counted = 300 // of the last tokens: the part that is a suffix of every division
    const divided = [1, 130, 900].map(place => {
      const groups = [{ prefix: tokens.slice(0, place), suffixes: [tokens.slice(place)] }]
      const weights = [[new Float32Array(1200 - place).fill(1 / counted, -counted)]]
      return { groups, loss: { kind: 'sft', weights } as const }
    })
    const results = []
    for (const { groups, loss } of divided)
      results.push(await gradientsOf(model, () => model.backward(groups, loss)))
    for (const { statistics, gradients } of results.slice(1)) {
      const last = ({ logProbs }: LossStatistics) => [[logProbs[0]![0]!.slice(-counted)]]
      t.true(largestDifference(t, last(statistics), last(results[0]!.statistics)) < TOLERANCE)
      const worst = worstRelativeError(gradients, results[0]!.gradients)
      t.true(worst.error < TOLERANCE, `${worst.name} differs by ${worst.error} of its size`)
    }
  })

  test(`${name}: long sequences in bfloat16 are as near to fp32 as short ones`, async t => {
    const [exact, rounded] = [await loadLong(t, name), await loadLong(t, name, 'bfloat16')]
    const { vocabularySize } = exact.configuration
    const short = Array.from({ length: 60 }, (_, i) => ({
      prefix: randomTokens(10, vocabularySize, i),
      suffixes: [randomTokens(10, vocabularySize, 100 + i), randomTokens(10, vocabularySize, 200 + i)],
    }))
    const long = [
      {
        prefix: randomTokens(600, vocabularySize, 5),
        suffixes: [randomTokens(300, vocabularySize, 6), randomTokens(301, vocabularySize, 7)],
      },
    ]
    // The short ones in small parts too, so that whatever is wrong with large ones is not in both.
    const errors = { short: await errorsOf(short, 60), long: await errorsOf(long, 2000) }
    // Rounding does not grow with length. Averages over 600 tokens are known to a few per cent; gradients that are sums
    // of few numbers, such as a bias's, scatter by more, but none is beyond twice the worst of the short ones.
    const [near, far] = [errors.short.logProbs, errors.long.logProbs]
    t.true(far < 1.5 * near, `off by ${far} on average, short ones by ${near}`)
    const worst = Math.max(...errors.short.gradients.values())
    for (const [tensor, error] of errors.long.gradients)
      t.true(error < 2 * worst, `${tensor}: ${error}, ${worst}`)

    async function errorsOf(groups: TokenGroup[], tokenBudget: number) {
      const run = (model: Model) =>
        gradientsOf(model, () => model.backward(groups, meanLoss(groups), { tokenBudget }))
      const [wanted, found] = [await run(exact), await run(rounded)]
      const differences = wanted.statistics.logProbs
        .flat()
        .flatMap((values, s) =>
          Array.from(values, (value, i) => Math.abs(value - found.statistics.logProbs.flat()[s]![i]!)),
        )
      return {
        logProbs: differences.reduce((a, b) => a + b) / differences.length,
        gradients: new Map(
          [...wanted.gradients].map(([tensor, values]) => [
            tensor,
            relativeError(found.gradients.get(tensor)!, values),
          ]),
        ),
      }
    }
  })
}
