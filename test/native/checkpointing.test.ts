import test from 'ava'
import { checkpointingPolicies, type Model, type TokenGroup } from '../../lib/engine/index.js'
import { randomNumbers, randomTokens } from '../helpers/changed-models.js'
import { architectures, loadTiny, parameterNames, readGradients } from '../helpers/engine.js'

/** A prefix of one token, one of an odd length, none at all; suffixes of odd lengths, of one token and of none. */
function oddGroups({ configuration: { vocabularySize } }: Model): TokenGroup[] {
  const tokens = (length: number, seed: number) => randomTokens(length, vocabularySize, seed)
  return [
    { prefix: tokens(1, 1), suffixes: [tokens(37, 2)] },
    { prefix: tokens(19, 3), suffixes: [tokens(1, 4), tokens(33, 5), [], tokens(7, 6)] },
    { prefix: [], suffixes: [tokens(13, 7)] },
  ]
}

/** Weights of both signs, as advantages have. */
function weightsOf(groups: readonly TokenGroup[]) {
  const random = randomNumbers(8)
  return groups.map(({ suffixes }) =>
    suffixes.map(({ length }) => Float32Array.from({ length }, () => random() - 0.5)),
  )
}

for (const name of architectures)
  for (const dtype of ['float32', 'bfloat16'] as const)
    for (const lora of [undefined, { rank: 3, seed: 5 }])
      test(`${name}, ${dtype}${lora ? ', LoRA' : ''}: gradients are the same bits whatever is kept`, async t => {
        const model = await loadTiny(t, name, { trainable: true, dtype, lora })
        const groups = oddGroups(model)
        const names = lora ? model.native.adapterTensors().map(tensor => tensor.name) : parameterNames(model)
        const results = []
        for (const checkpointing of checkpointingPolicies) {
          await model.zeroGradients()
          const asked: number[] = []
          const { loss, logProbs } = await model.backward(
            groups,
            { kind: 'sft', weights: weightsOf(groups) },
            {
              checkpointing: tokens => {
                asked.push(tokens)
                return checkpointing
              },
              tokenBudget: 50,
            },
          )
          t.true(asked.length > 1 && asked.every(tokens => tokens > 0))
          results.push({ loss, logProbs, gradients: await readGradients(model, names) })
        }
        const [none, ...others] = results
        t.true([...none!.gradients.values()].some(values => values.some(value => value !== 0)))
        for (const other of others) t.deepEqual(other, none)
      })

test('an unknown policy is named with those that there are', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const groups = [{ prefix: [3], suffixes: [[4]] }]
  await t.throwsAsync(
    model.backward(
      groups,
      { kind: 'sft', weights: weightsOf(groups) },
      { checkpointing: 'all' as unknown as 'none' },
    ),
    { code: 'ERR_ARGUMENT', message: /'none', 'selective' or 'every-layer' .*, got 'all'/ },
  )
})
