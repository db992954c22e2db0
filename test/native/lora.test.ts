import test from 'ava'
import { AdamW, checkpointingPolicies } from '../../lib/engine/index.js'
import { EngineError } from '../../lib/errors.js'
import { readSafetensorsFile } from '../../lib/models/index.js'
import {
  architectures,
  largestDifference,
  loadTiny,
  logitDeviation,
  lossOf,
  parameterNames,
  readFigures,
  readGradients,
  relativeDeviation,
  temporaryFolder,
  worstRelativeError,
} from '../helpers/engine.js'
import { adapterNames, loadAdapted, readAdapters, readLoraFigures, readLoraTensors } from '../helpers/lora.js'

// Against PEFT in fp32. Sums of a few hundred terms in another order differ by about 1e-6; 1e-4 is what the engine
// promises.
const TOLERANCE = 1e-4

for (const name of architectures) {
  test(`${name}: log-probabilities with PEFT's adapter agree with PEFT`, async t => {
    const model = await loadAdapted(t, name)
    const { groups, logProbs, baseLogProbs } = await readLoraFigures(name)
    t.true(largestDifference(t, baseLogProbs as never, logProbs) > 0.1, 'the adapter does something')
    t.true(largestDifference(t, await model.logProbs(groups), logProbs) < TOLERANCE)
  })

  test(`${name}: with its adapter off a model is the base, to the bit`, async t => {
    const model = await loadAdapted(t, name)
    const base = await loadTiny(t, name)
    const { groups } = await readLoraFigures(name)
    t.deepEqual(await model.logProbs(groups, { adapter: false }), await base.logProbs(groups))
    const bare = await model.clone({ adapter: false })
    t.teardown(() => bare.dispose())
    t.is(bare.lora, undefined)
    t.deepEqual(await bare.logProbs(groups), await base.logProbs(groups))
  })

  test(`${name}: gradients of the adapters agree with PEFT, and there are no others`, async t => {
    const model = await loadAdapted(t, name, { trainable: true })
    const { groups, sft } = await readLoraFigures(name)
    const expected = await readLoraTensors(name, 'sft')
    t.deepEqual(adapterNames(model).toSorted(), [...expected.keys()].toSorted())
    for (const checkpointing of checkpointingPolicies) {
      const { loss } = await model.backward(groups, lossOf(sft), { checkpointing })
      t.true(Math.abs(loss - sft.loss) < TOLERANCE, `loss ${loss}, expected ${sft.loss}`)
      const worst = worstRelativeError(await readGradients(model, expected.keys()), expected)
      t.true(worst.error < TOLERANCE, `${worst.name} differs by ${worst.error} of its size`)
      await model.zeroGradients()
    }
    for (const tensor of parameterNames(model))
      await t.throwsAsync(model.readGradient(tensor), { instanceOf: EngineError, message: /no gradient/ })
  })

  test(`${name}: ten AdamW steps of the adapters end where PEFT's do`, async t => {
    const model = await loadAdapted(t, name, { trainable: true })
    const base = await loadTiny(t, name)
    const { groups, sft, adamw } = await readLoraFigures(name)
    const optimizer = new AdamW(model, { weightDecay: adamw.weightDecay })
    t.teardown(() => optimizer.dispose())
    for (const expected of adamw.gradNorms) {
      await model.backward(groups, lossOf(sft))
      const { gradNorm } = await optimizer.step(adamw)
      t.true(Math.abs(gradNorm / expected - 1) < TOLERANCE, `norm ${gradNorm}, expected ${expected}`)
    }
    const expected = await readLoraTensors(name, 'adamw')
    const values = await readAdapters(model)
    t.is(values.size, expected.size)
    for (const [tensor, after] of expected)
      t.true(largestDifference(t, [[values.get(tensor)!]], [[after]]) < TOLERANCE, tensor)
    for (const tensor of parameterNames(model))
      t.deepEqual(await model.readParameter(tensor), await base.readParameter(tensor), tensor)
  })

  test(`${name}: what is sampled is scored alike, prefix, decode and adapter`, async t => {
    const model = await loadAdapted(t, name)
    const { greedy } = await readFigures(name)
    const groups = await model.sample(
      [{ prefix: greedy.prompt, samples: 3 }, { prefix: greedy.prompt.slice(3) }],
      {
        maxNewTokens: 24,
        seed: 5,
        stop: [],
      },
    )
    const recomputed = await model.logProbs(groups)
    t.true(
      largestDifference(
        t,
        recomputed,
        groups.map(group => group.logProbs),
      ) < TOLERANCE,
    )
    const off = await model.logProbs(groups, { adapter: false })
    t.true(
      largestDifference(
        t,
        off,
        groups.map(group => group.logProbs),
      ) > 0.01,
      'the adapter took part',
    )
  })
}

test('new adapters change nothing, and are drawn from their seed as PEFT draws them', async t => {
  const base = await loadTiny(t, 'llama-tied')
  const lora = { rank: 5, seed: 3 } as const
  const model = await loadTiny(t, 'llama-tied', { lora })
  t.true(model.trainable)
  t.deepEqual(model.lora?.targets, [
    'q_proj',
    'k_proj',
    'v_proj',
    'o_proj',
    'gate_proj',
    'up_proj',
    'down_proj',
  ])
  t.is(model.lora?.alpha, 10)
  const { groups } = await readLoraFigures('llama-tied')
  t.deepEqual(await model.logProbs(groups), await base.logProbs(groups))

  const values = await readAdapters(model)
  const widths = new Map(model.native.adapterTensors().map(({ name, shape }) => [name, shape[1]!]))
  const scaled: number[] = []
  for (const [name, tensor] of values) {
    if (name.endsWith('lora_B.weight'))
      t.true(
        tensor.every(value => value === 0),
        name,
      )
    // Kaiming's uniform with a = sqrt(5) is ±1 / sqrt(inputs).
    else for (const value of tensor) scaled.push(value * Math.sqrt(widths.get(name)!))
  }
  t.true(scaled.every(value => Math.abs(value) <= 1))
  // Some 4,000 values of a uniform distribution over ±1: five standard errors of the mean and of the mean square.
  const mean = (of: (value: number) => number) =>
    scaled.reduce((sum, value) => sum + of(value), 0) / scaled.length
  t.true(scaled.length > 3000)
  t.true(Math.abs(mean(x => x)) < 5 * Math.sqrt(1 / 3 / scaled.length))
  t.true(Math.abs(mean(x => x * x) - 1 / 3) < 5 * Math.sqrt(4 / 45 / scaled.length))
  t.is(new Set(scaled).size > scaled.length * 0.99, true, 'no two projections share their values')

  const again = await loadTiny(t, 'llama-tied', { lora: { ...lora, targets: ['v_proj', 'down_proj'] } })
  for (const [name, tensor] of await readAdapters(again))
    t.deepEqual(tensor, values.get(name), `${name} does not depend on what else is adapted`)
  const other = await loadTiny(t, 'llama-tied', { lora: { ...lora, seed: 4 } })
  const first = adapterNames(model)[0]!
  t.notDeepEqual(await other.readParameter(first), values.get(first))
})

test('bfloat16 weights are adapted in float32', async t => {
  const model = await loadAdapted(t, 'qwen2', { dtype: 'bfloat16', trainable: true })
  const base = await loadTiny(t, 'qwen2', { dtype: 'bfloat16' })
  const exact = await loadAdapted(t, 'qwen2')
  const { groups, sft } = await readLoraFigures('qwen2')
  t.true(model.native.adapterTensors().every(({ dtype }) => dtype === 'F32'))
  t.deepEqual(await readAdapters(model), await readAdapters(exact), 'nothing of them is rounded')
  t.deepEqual(await model.logProbs(groups, { adapter: false }), await base.logProbs(groups))
  await model.backward(groups, lossOf(sft))
  const expected = await readLoraTensors('qwen2', 'sft')
  const worst = worstRelativeError(await readGradients(model, expected.keys()), expected)
  // As for the gradients of whole models in bfloat16.
  const logits = logitDeviation(model, await readFigures('qwen2'))
  const allowed = 2 * (logits + 2 * relativeDeviation(model.configuration.layers))
  t.true(
    worst.error > 0 && worst.error < allowed,
    `${worst.name} differs by ${worst.error}, allowed ${allowed}`,
  )
})

test('an optimizer keeps the state of the adapters alone', async t => {
  const model = await loadAdapted(t, 'llama-tied', { dtype: 'bfloat16', trainable: true })
  const optimizer = new AdamW(model)
  t.teardown(() => optimizer.dispose())
  const folder = await temporaryFolder(t)
  await optimizer.save(`${folder}/optimizer.safetensors`)
  const { entries } = await readSafetensorsFile(`${folder}/optimizer.safetensors`)
  t.true(entries.length > 0)
  t.true(entries.every(({ name }) => /^(first|second)_moment\.base_model\..*lora_[AB]\.weight$/.test(name)))
})

const refused = (message: RegExp) => ({ instanceOf: EngineError, code: 'ERR_ARGUMENT', message })

test('adapters that cannot be are refused', async t => {
  const load = (lora: object) => loadTiny(t, 'llama-tied', { lora: lora as never })
  await t.throwsAsync(load({ rank: 0 }), refused(/at least 1 for lora\.rank, got 0/))
  await t.throwsAsync(load({ rank: 1.5 }), refused(/lora\.rank, got 1\.5/))
  await t.throwsAsync(load({ rank: 2, alpha: 0 }), refused(/lora\.alpha, got 0/))
  await t.throwsAsync(
    load({ rank: 2, targets: ['lm_head'] }),
    refused(/no target 'lm_head'.*q_proj.*down_proj/),
  )
  await t.throwsAsync(load({ rank: 2, targets: [] }), refused(/at least one target/))
  await t.throwsAsync(load({ rank: 2, targets: ['q_proj', 'q_proj'] }), refused(/'q_proj' is named twice/))
  const model = await loadTiny(t, 'llama-tied', { lora: { rank: 2 } })
  const folder = await temporaryFolder(t)
  await t.throwsAsync((await loadTiny(t, 'llama-tied')).saveAdapter(folder), refused(/no LoRA adapters/))
  const frozen = await loadAdapted(t, 'llama-tied')
  t.throws(() => new AdamW(frozen), refused(/trainable/))
  await t.throwsAsync(model.copyParametersFrom(frozen), { instanceOf: EngineError, code: 'ERR_SHAPE' })
  const same = await model.clone()
  t.teardown(() => same.dispose())
  await t.throwsAsync(model.copyParametersFrom(same, 0.5), refused(/copied, not blended/))
})
