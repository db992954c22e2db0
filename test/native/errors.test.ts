import { cp, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { addon, callAddon } from '../../lib/engine/addon.js'
import { AdamW, type GrpoLoss, Model } from '../../lib/engine/index.js'
import { EngineError, ModelError } from '../../lib/errors.js'
import { readConfiguration } from '../../lib/models/index.js'
import { loadTiny, lossOf, meanLoss, modelFolder, readFigures, temporaryFolder } from '../helpers/engine.js'

const cpu = { dtype: 'float32', device: 'cpu' } as const
const groups = [
  {
    prefix: [3, 4, 5],
    suffixes: [
      [6, 7],
      [8, 9, 10],
    ],
  },
]

/** A copy of a tiny model that a test may damage. */
async function copyOf(t: ExecutionContext, name: 'llama-tied' | 'llama-untied-scaled'): Promise<string> {
  const folder = await temporaryFolder(t)
  await cp(modelFolder(name), folder, { recursive: true })
  return folder
}

async function changeConfiguration(folder: string, changes: Record<string, unknown>): Promise<void> {
  const file = join(folder, 'config.json')
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...changes }))
}

test('every call of a disposed model says so, and disposing again is allowed', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const other = await loadTiny(t)
  const folder = await temporaryFolder(t)
  model.dispose()
  model.dispose()
  const calls: Record<string, () => Promise<unknown>> = {
    logProbs: () => model.logProbs(groups),
    sample: () => model.sample([{ prefix: [3] }], { maxNewTokens: 1 }),
    backward: () => model.backward(groups, meanLoss(groups)),
    zeroGradients: () => model.zeroGradients(),
    clone: () => model.clone(),
    copyParametersFrom: () => model.copyParametersFrom(other),
    'copyParametersFrom a disposed one': () => other.copyParametersFrom(model),
    readParameter: () => model.readParameter('model.norm.weight'),
    save: () => model.save(folder),
    parameterCount: async () => model.parameterCount,
  }
  for (const [name, call] of Object.entries(calls)) {
    await t.throwsAsync(call, { instanceOf: EngineError, code: 'ERR_DISPOSED' }, name)
  }
})

test('a call that runs while its model is disposed of still finishes', async t => {
  const model = await loadTiny(t)
  const expected = await model.sample([{ prefix: [3], samples: 2 }], { maxNewTokens: 30 })
  const running = model.sample([{ prefix: [3], samples: 2 }], { maxNewTokens: 30 })
  model.dispose()
  t.deepEqual(await running, expected)
})

test('every call of a disposed optimizer says so, and disposing again is allowed', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const optimizer = new AdamW(model)
  const file = join(await temporaryFolder(t), 'optimizer.safetensors')
  await optimizer.step({ learningRate: 1e-3 })
  await optimizer.save(file)
  optimizer.dispose()
  optimizer.dispose()
  const calls: Record<string, () => Promise<unknown>> = {
    step: () => optimizer.step({ learningRate: 1e-3 }),
    save: () => optimizer.save(file),
    load: () => optimizer.load(file),
  }
  for (const [name, call] of Object.entries(calls))
    await t.throwsAsync(call, { instanceOf: EngineError, code: 'ERR_DISPOSED' }, name)
})

test('a model that was not loaded to be trained refuses to be', async t => {
  const model = await loadTiny(t)
  const refusal = { instanceOf: EngineError, code: 'ERR_ARGUMENT', message: /trainable/ }
  await t.throwsAsync(model.backward(groups, meanLoss(groups)), refusal)
  await t.throwsAsync(model.readGradient('model.norm.weight'), refusal)
  await t.throwsAsync(async () => new AdamW(model).step({ learningRate: 1e-3 }), refusal)
})

test('loss arrays that do not fit the suffixes are named', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const two = (name: string) => ({ instanceOf: EngineError, code: 'ERR_SHAPE', message: new RegExp(name) })
  const weights = meanLoss(groups).weights
  const short = [[new Float32Array(2), new Float32Array(2)]]
  const grpo: GrpoLoss = {
    kind: 'grpo',
    weights,
    advantages: [[1, -1]],
    beta: 0,
    clipLow: 0.2,
    clipHigh: 0.2,
  }
  await t.throwsAsync(
    model.backward(groups, { kind: 'sft', weights: short }),
    two('loss\\.weights\\[0\\]\\[1\\] has 2'),
  )
  await t.throwsAsync(
    model.backward(groups, { kind: 'sft', weights: [] }),
    two('loss\\.weights\\[0\\]\\[0\\] has no'),
  )
  await t.throwsAsync(model.backward(groups, { ...grpo, advantages: [[1]] }), two('advantages\\[0\\] has 1'))
  await t.throwsAsync(
    model.backward(groups, { ...grpo, advantages: [[1, new Float32Array(2)]] }),
    two('advantages\\[0\\]\\[1\\] has 2'),
  )
  await t.throwsAsync(
    model.backward(groups, { ...grpo, oldLogProbs: short }),
    two('oldLogProbs\\[0\\]\\[1\\]'),
  )
  await t.throwsAsync(
    model.backward(groups, { ...grpo, referenceLogProbs: short }),
    two('referenceLogProbs\\[0\\]\\[1\\]'),
  )
})

test('models of different shapes are not blended', async t => {
  const [one, other] = [await loadTiny(t), await loadTiny(t, 'qwen2')]
  await t.throwsAsync(one.copyParametersFrom(other), { instanceOf: EngineError, code: 'ERR_SHAPE' })
})

test('tokens outside the vocabulary and prompts beyond the context are refused', async t => {
  const model = await loadTiny(t)
  const long = Array.from({ length: 300 }, () => 5)
  const refusal = (message: RegExp) => ({ instanceOf: EngineError, code: 'ERR_ARGUMENT', message })
  for (const token of [331, -1]) {
    const outside = refusal(new RegExp(`${token}.*331`))
    await t.throwsAsync(model.logProbs([{ prefix: [3], suffixes: [[token, 4]] }]), outside)
    await t.throwsAsync(model.logProbs([{ prefix: [3], suffixes: [[4, token]] }]), outside, 'a last token')
    await t.throwsAsync(model.sample([{ prefix: [token] }], { maxNewTokens: 1 }), outside)
  }
  await t.throwsAsync(model.sample([{ prefix: long }], { maxNewTokens: 1 }), refusal(/300.*256/))
  const error = await t.throwsAsync(model.logProbs([{ prefix: long, suffixes: [[4]] }]), {
    instanceOf: EngineError,
  })
  t.regex(error.message, /256/)
  await t.throwsAsync(
    model.sample([{ prefix: [] }], { maxNewTokens: 1 }),
    refusal(/Request 0.*prefix is empty/),
  )
})

test('sampling options out of range are refused by name', async t => {
  const model = await loadTiny(t)
  const wrong = {
    temperature: [-1, Number.NaN],
    topP: [-0.1, 1.5],
    minP: [-1, 2],
    topK: [-1, 1.5],
    maxNewTokens: [-1, 2.5, Number.NaN],
  }
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      await t.throwsAsync(
        model.sample([{ prefix: [3] }], { maxNewTokens: 2, [name]: value }),
        { instanceOf: EngineError, code: 'ERR_ARGUMENT', message: new RegExp(name) },
        `${name} ${value}`,
      )
    }
  }
  await t.throwsAsync(model.sample([{ prefix: [3] }], { maxNewTokens: 2, stop: [''] }), {
    code: 'ERR_ARGUMENT',
  })
  for (const temperature of [0, -1, Number.NaN]) {
    await t.throwsAsync(model.logProbs(groups, { temperature }), {
      instanceOf: EngineError,
      code: 'ERR_ARGUMENT',
    })
  }
})

test('a truncated weight file is refused by name', async t => {
  const folder = await copyOf(t, 'llama-tied')
  await truncate(join(folder, 'model.safetensors'), 200_000)
  await t.throwsAsync(Model.load(folder, cpu), { instanceOf: ModelError, message: /model\.safetensors/ })
  await truncate(join(folder, 'model.safetensors'), 100)
  await t.throwsAsync(Model.load(folder, cpu), { instanceOf: ModelError, message: /model\.safetensors/ })
})

test('a shard that is missing or cut short is refused by name', async t => {
  const folder = await copyOf(t, 'llama-untied-scaled')
  const shard = 'model-00002-of-00004.safetensors'
  await truncate(join(folder, shard), 50_000)
  await t.throwsAsync(Model.load(folder, cpu), { instanceOf: ModelError, message: new RegExp(shard) })
})

test('weights that the configuration asks for and the files lack are named', async t => {
  const folder = await copyOf(t, 'llama-tied')
  await changeConfiguration(folder, { num_hidden_layers: 3 })
  await t.throwsAsync(Model.load(folder, cpu), { instanceOf: ModelError, message: /model\.layers\.2\./ })
})

test('weights of another shape than the configuration says are named with both', async t => {
  const folder = await copyOf(t, 'llama-tied')
  await changeConfiguration(folder, { intermediate_size: 52 })
  const error = await t.throwsAsync(Model.load(folder, cpu))
  t.true(error instanceof ModelError || error instanceof EngineError)
  t.regex(error.message, /mlp\.\w+_proj\.weight/)
  t.regex(error.message, /48/)
  t.regex(error.message, /52/)
})

test('a tokenizer with more tokens than the model has embeddings is refused', async t => {
  const folder = await copyOf(t, 'llama-tied')
  const file = join(folder, 'tokenizer.json')
  const tokenizer = JSON.parse(await readFile(file, 'utf8'))
  for (let id = 300; id < 340; id++) {
    tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], id, content: `<|extra ${id}|>` })
  }
  await writeFile(file, JSON.stringify(tokenizer))
  await t.throwsAsync(Model.load(folder, cpu), { instanceOf: ModelError, message: /340 tokens.*331/ })
})

test('running out of memory is an error like others, and the model goes on working', async t => {
  const model = await loadTiny(t)
  const expected = await model.logProbs(groups)
  await t.throwsAsync(model.sample([{ prefix: [3] }], { maxNewTokens: 10, cacheBytes: 100 }), {
    instanceOf: EngineError,
    code: 'ERR_OUT_OF_MEMORY',
    message: /Request 0.*bytes/,
  })
  t.deepEqual(await model.logProbs(groups), expected)
})

test('a model larger than the memory is an error like others', async t => {
  const configuration = await readConfiguration({ kind: 'folder', folder: modelFolder('llama-tied') })
  // Larger than any address space, so that no machine begins to fill it.
  const absurd = { ...configuration, vocabularySize: 2 ** 31 - 1, hiddenSize: 2 ** 24 }
  const options = { dtype: 'float32', device: 'cpu', trainable: false }
  await t.throwsAsync(
    callAddon(() => addon().loadModel(absurd, [], options, new Int32Array(1))),
    { instanceOf: EngineError, code: 'ERR_OUT_OF_MEMORY' },
  )
})

test('weights that are not finite are reported when sampling and leave the weights alone when training', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const { groups: scored, sft } = await readFigures('llama-tied')
  const optimizer = new AdamW(model)
  t.teardown(() => optimizer.dispose())
  await model.backward(scored, {
    ...lossOf(sft),
    weights: sft.inputs.weights.map(group =>
      group.map(suffix => new Float32Array(suffix.length).fill(Number.POSITIVE_INFINITY)),
    ),
  })
  const before = await model.readParameter('model.norm.weight')
  const { skipped } = await optimizer.step({ learningRate: 1e-3, maxGradNorm: 1 })
  t.true(skipped)
  t.is(optimizer.stepCount, 0)
  t.deepEqual(await model.readParameter('model.norm.weight'), before)
  t.true((await model.readGradient('model.norm.weight')).every(value => value === 0))

  await optimizer.step({ learningRate: Number.POSITIVE_INFINITY })
  await t.throwsAsync(model.sample([{ prefix: [3] }], { maxNewTokens: 3 }), {
    instanceOf: EngineError,
    code: 'ERR_NUMERICS',
  })
})
