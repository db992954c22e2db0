/** Prompts fed in pieces, so that samples which run already go on between. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { systemInformation } from '../../lib/engine/index.js'
import { loadLong, randomTokens } from '../helpers/changed-models.js'
import {
  architectures,
  largestDifference,
  loadTiny,
  logitDeviation,
  meanDifference,
  readFigures,
} from '../helpers/engine.js'

const lengths = [1, 15, 16, 17, 33, 64, 101]
const sampling = { maxNewTokens: 20, stop: [], seed: 3 }

function requestsOf(vocabularySize: number) {
  return lengths.map((length, i) => ({ prefix: randomTokens(length, vocabularySize, i), samples: 3 }))
}

for (const name of architectures) {
  test(`${name}: a prompt fed in pieces gives the samples of one fed whole`, async t => {
    const model = await loadTiny(t, name)
    const requests = requestsOf(model.configuration.vocabularySize)
    const whole = await model.sample(requests, { ...sampling, prefillTokens: 1000 })
    for (const prefillTokens of [1, 7, 16, 17, 50, 100]) {
      const pieces = await model.sample(requests, { ...sampling, prefillTokens })
      t.deepEqual(
        pieces.map(({ suffixes }) => suffixes),
        whole.map(({ suffixes }) => suffixes),
      )
      const [found, expected] = [pieces, whole].map(groups => groups.map(({ logProbs }) => logProbs))
      // The same sums in another order: fp32 gives about 1e-6 of logits up to 10.
      t.true(largestDifference(t, found!, expected!) < 2e-5, `${prefillTokens} at a time`)
    }
  })

  test(`${name}: pieces in bfloat16 are off by no more than its rounding explains`, async t => {
    const model = await loadTiny(t, name, { dtype: 'bfloat16' })
    const requests = requestsOf(model.configuration.vocabularySize)
    const exact = await loadTiny(t, name)
    const groups = await model.sample(requests, { ...sampling, prefillTokens: 13 })
    const sampled = groups.map(({ logProbs }) => logProbs)
    const scored = await exact.logProbs(groups)
    const deviation = logitDeviation(model, await readFigures(name))
    // Two logits' worth of error; among some 400 values none lies beyond 5 deviations.
    t.true(largestDifference(t, sampled, scored) < 5 * Math.SQRT2 * deviation)
    t.true(meanDifference(sampled, scored) < Math.SQRT2 * deviation)
  })
}

test('thousands of tokens in pieces of hundreds score as they were sampled', async t => {
  const model = await loadLong(t, 'qwen3')
  const prefix = randomTokens(3001, model.configuration.vocabularySize, 1)
  const groups = await model.sample([{ prefix, samples: 2 }], { ...sampling, prefillTokens: 431 })
  const sampled = groups.map(({ logProbs }) => logProbs)
  t.true(largestDifference(t, sampled, await model.logProbs(groups)) < 1e-4) // fp32 over 3,000 keys
})

test('samples that run go on while a long prompt is fed', async t => {
  const model = await loadTiny(t)
  const { vocabularySize } = model.configuration
  const requests = [{ prefix: [5, 6, 7] }, { prefix: randomTokens(200, vocabularySize, 1) }]
  const before = async (prefillTokens: number) => {
    const order: number[] = []
    const onToken = ({ request }: { request: number }) => order.push(request)
    await model.sample(requests, { ...sampling, prefillTokens, onToken })
    return order.indexOf(1)
  }
  // 3 tokens, then ten times 20: after each but the last the first sample gets a token, and its very first with its prompt.
  t.is(await before(20), 11)
  t.is(await before(1000), 1)
})

test('where a prompt is divided does not depend on the others: neither do its samples in bfloat16', async t => {
  const model = await loadTiny(t, 'qwen3', { dtype: 'bfloat16' })
  const requests = requestsOf(model.configuration.vocabularySize).map((request, i) => ({
    ...request,
    seed: i,
  }))
  const options = { ...sampling, prefillTokens: 40 }
  const together = await model.sample(requests, options)
  const alone = await Promise.all(requests.map(request => model.sample([request], options)))
  // The kernels of other CPUs may add in another order for other numbers of rows.
  if (systemInformation().bfloat16Fast) t.deepEqual(together, alone.flat())
  else t.is(together.length, alone.length)
})

test('pieces of no token are refused', async t => {
  const model = await loadTiny(t)
  await t.throwsAsync(model.sample([{ prefix: [5] }], { ...sampling, prefillTokens: 0 }), {
    code: 'ERR_ARGUMENT',
    message: /prefillTokens/,
  })
})

test('what a prompt takes beside its keys and values is bounded by the piece', async t => {
  const script = fileURLToPath(new URL('prefill-memory.js', import.meta.url))
  const megabytes = async (prefillTokens: number) => {
    const { stdout } = await promisify(execFile)(process.execPath, [script, String(prefillTokens)])
    return Number(stdout) / 1e6
  }
  // Gate and up alone are 2 * 1,536 values of 2 bytes a token: 18 MB for 3,000 tokens, 1.6 MB for 256.
  const [piece, whole] = [await megabytes(256), await megabytes(3000)]
  t.true(piece < 40, `${piece} MB`)
  t.true(whole > piece + 40, `${whole} MB, ${piece} MB in pieces`)
})
