import { spawn } from 'node:child_process'
import { readdir, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test from 'ava'
import { AdamW, Model } from '../../lib/engine/index.js'
import { AbortedError, ModelError } from '../../lib/errors.js'
import { packageRoot } from '../../lib/packageRoot.js'
import {
  architectures,
  largestDifference,
  loadTiny,
  lossOf,
  parameterNames,
  readFigures,
  readGradients,
  temporaryFolder,
} from '../helpers/engine.js'

async function weightsOf(model: Model): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>()
  for (const name of parameterNames(model)) weights.set(name, await model.readParameter(name))
  return weights
}

for (const name of architectures) {
  for (const dtype of ['float32', 'bfloat16'] as const) {
    test(`${name}: a ${dtype} model that is saved and loaded is the same to the bit`, async t => {
      const model = await loadTiny(t, name, { dtype })
      const folder = await temporaryFolder(t)
      await model.save(folder)
      const again = await Model.load(folder, { dtype, device: 'cpu' })
      t.teardown(() => again.dispose())
      t.deepEqual(await weightsOf(again), await weightsOf(model))
      t.deepEqual(again.configuration, model.configuration)
      t.is(again.tokenizer.fingerprint, model.tokenizer.fingerprint)
      const { groups } = await readFigures(name)
      t.is(largestDifference(t, await again.logProbs(groups), await model.logProbs(groups)), 0)
    })
  }

  const python = process.env.RLT_TEST_PYTHON
  test(`${name}: transformers loads what was saved`, async t => {
    if (!python) {
      t.log('skipped: RLT_TEST_PYTHON names no Python with torch and transformers')
      t.pass()
      return
    }
    const model = await loadTiny(t, name)
    const folder = await temporaryFolder(t)
    await model.save(folder, { maxShardBytes: 100_000 })
    const { groups, logProbs } = await readFigures(name)
    const script = join(packageRoot(), 'scripts/fixtures/engine/check_saved.py')
    const child = spawn(python, ['-B', script, folder], { stdio: ['pipe', 'ignore', 'pipe'] })
    const ended = new Promise(resolve => child.on('close', resolve))
    child.stdin.end(JSON.stringify({ groups, logProbs, tolerance: 1e-4 }))
    const complaint = await text(child.stderr)
    t.is(await ended, 0, complaint)
  })
}

test('a model is split into shards of the size asked for, with an index', async t => {
  const model = await loadTiny(t, 'qwen2')
  const folder = await temporaryFolder(t)
  await model.save(folder)
  await model.save(folder, { maxShardBytes: 70_000 })
  const names = await readdir(folder)
  t.false(names.includes('model.safetensors'), 'the weights of the earlier save are gone')
  t.deepEqual(
    names.filter(name => name.endsWith('.partial')),
    [],
  )
  const shards = names.filter(name => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name))
  t.true(shards.length >= 4)
  const { weight_map } = JSON.parse(await readFile(join(folder, 'model.safetensors.index.json'), 'utf8'))
  t.deepEqual(Object.keys(weight_map).toSorted(), parameterNames(model).toSorted())
  t.deepEqual([...new Set<string>(Object.values(weight_map))].toSorted(), shards.toSorted())
  const again = await Model.load(folder, { dtype: 'float32', device: 'cpu' })
  t.teardown(() => again.dispose())
  t.deepEqual(await weightsOf(again), await weightsOf(model))
})

test('a save that is aborted leaves the weights that were there', async t => {
  const model = await loadTiny(t, 'qwen2')
  const folder = await temporaryFolder(t)
  await model.save(folder)
  const before = await readFile(join(folder, 'model.safetensors'))
  await t.throwsAsync(model.save(folder, { signal: AbortSignal.abort() }), { instanceOf: AbortedError })
  t.deepEqual(await readFile(join(folder, 'model.safetensors')), before)
})

test('a clone has the same weights in storage of its own', async t => {
  const model = await loadTiny(t, 'qwen3')
  const clone = await model.clone({ trainable: true })
  t.teardown(() => clone.dispose())
  const weights = await weightsOf(model)
  t.deepEqual(await weightsOf(clone), weights)
  const { groups, sft } = await readFigures('qwen3')
  const optimizer = new AdamW(clone)
  t.teardown(() => optimizer.dispose())
  await clone.backward(groups, lossOf(sft))
  await optimizer.step({ learningRate: 1e-2 })
  t.deepEqual(await weightsOf(model), weights)
  const trained = await clone.readParameter('model.norm.weight')
  t.notDeepEqual(trained, weights.get('model.norm.weight'))

  await model.copyParametersFrom(clone, 0.25)
  const blended = await model.readParameter('model.norm.weight')
  const expected = weights.get('model.norm.weight')!.map((value, i) => 0.75 * value + 0.25 * trained[i]!)
  t.true(largestDifference(t, [[blended]], [[expected]]) < 1e-6) // a few roundings of numbers near 1
  await model.copyParametersFrom(clone)
  t.deepEqual(await weightsOf(model), await weightsOf(clone))
})

for (const dtype of ['float32', 'bfloat16'] as const) {
  test(`a ${dtype} run that is saved and taken up goes on to the bit`, async t => {
    const { groups, sft } = await readFigures('qwen2')
    const train = async (model: Model, optimizer: AdamW, steps: number) => {
      const norms: number[] = []
      for (let step = 0; step < steps; step++) {
        await model.backward(groups, lossOf(sft))
        norms.push((await optimizer.step({ learningRate: 1e-3, maxGradNorm: 1 })).gradNorm)
      }
      return norms
    }
    const options = { betas: [0.9, 0.95], epsilon: 1e-7, weightDecay: 0.1 } as const
    const model = await loadTiny(t, 'qwen2', { dtype, trainable: true })
    const optimizer = new AdamW(model, options)
    t.teardown(() => optimizer.dispose())
    await train(model, optimizer, 3)
    const folder = await temporaryFolder(t)
    await model.save(folder)
    await optimizer.save(join(folder, 'optimizer.safetensors'))

    const resumed = await Model.load(folder, { dtype, device: 'cpu', trainable: true })
    const resumedOptimizer = new AdamW(resumed, options)
    t.teardown(() => resumedOptimizer.dispose())
    t.teardown(() => resumed.dispose())
    await resumedOptimizer.load(join(folder, 'optimizer.safetensors'))
    t.is(resumedOptimizer.stepCount, 3)
    t.deepEqual(await train(resumed, resumedOptimizer, 3), await train(model, optimizer, 3))
    t.deepEqual(await weightsOf(resumed), await weightsOf(model))
  })
}

test('the state of another model, or a damaged one, is refused', async t => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'optimizer.safetensors')
  const model = await loadTiny(t, 'qwen2', { trainable: true })
  const optimizer = new AdamW(model)
  t.teardown(() => optimizer.dispose())
  await optimizer.save(file)
  const other = await loadTiny(t, 'qwen3', { trainable: true })
  const otherOptimizer = new AdamW(other)
  t.teardown(() => otherOptimizer.dispose())
  await t.throwsAsync(otherOptimizer.load(file), {
    instanceOf: ModelError,
    message: /optimizer\.safetensors/,
  })
  await truncate(file, 10_000)
  await t.throwsAsync(optimizer.load(file), { instanceOf: ModelError, message: /optimizer\.safetensors/ })
  await t.throwsAsync(optimizer.load(join(folder, 'absent')), { instanceOf: ModelError, message: /absent/ })
})

test('an optimizer step leaves the gradients zero', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const optimizer = new AdamW(model)
  t.teardown(() => optimizer.dispose())
  const { groups, sft } = await readFigures('llama-tied')
  await model.backward(groups, lossOf(sft))
  await optimizer.step({ learningRate: 1e-3 })
  for (const [name, values] of await readGradients(model, parameterNames(model))) {
    t.true(
      values.every(value => value === 0),
      name,
    )
  }
})
