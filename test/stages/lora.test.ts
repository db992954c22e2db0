import { join } from 'node:path'
import test from 'ava'
import { Model } from '../../lib/engine/index.js'
import type { TrainEvent } from '../../lib/report/index.js'
import { train } from '../../lib/stages/train.js'
import { model as base, readRows, results, tinyConfig } from './tiny-run.js'

const lora = {
  rank: 4,
  targets: ['q_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
} as const
const options = { dtype: 'float32', device: 'cpu' } as const

/** Everything that has a state; the reference stays with the test. */
const demanding = (kind: 'frozen' | 'blended') =>
  tinyConfig({
    teacher: { lora: { ...lora, targets: [...lora.targets] } },
    reference: { kind, every: 1, blend: 0.5 },
    algorithm: { epochs: 2, minibatches: 2 },
    optimizer: { schedule: 'cosine', warmupSteps: 1, weightDecay: 0.1 },
    training: { evaluateEvery: 1 },
  })

test('a teacher with new adapters begins as the teacher that it was, tied to the base and judged by it', async t => {
  const run = async (teacher: object) => {
    const { folder } = await train(tinyConfig({ teacher, training: { steps: 2, saveEvery: 0 } }))
    return readRows(join(folder, 'metrics.jsonl'))
  }
  const [whole, adapted] = [await run({}), await run({ lora: { ...lora, targets: [...lora.targets] } })]
  for (const figure of [
    'reward',
    'reward/understanding',
    'reward/naturalness',
    'kl_ref',
    'completion_tokens',
  ])
    t.is(adapted[0]![figure], whole[0]![figure], figure)
  // Sampled and recomputed log-probabilities differ by rounding alone; so does the base from itself.
  t.true((adapted[0]!.kl_ref as number) < 1e-9)
  t.true((adapted[1]!.kl_ref as number) > 1e-6, 'the policy moved, and its reference did not')
  t.true((adapted[1]!.sampler_trainer_gap as number) < 1e-4)
  t.not(adapted[1]!.grad_norm, whole[1]!.grad_norm)
})

test('a checkpoint is the merged model, with the adapters beside it', async t => {
  const { checkpoint } = await train(demanding('frozen'))
  const merged = await Model.load(checkpoint!, options)
  const adapted = await Model.load(base, { ...options, adapter: join(checkpoint!, 'adapter') })
  const before = await Model.load(base, options)
  t.teardown(() => {
    for (const model of [merged, adapted, before]) model.dispose()
  })
  t.is(adapted.lora?.rank, 4)
  t.is(adapted.lora?.alpha, 8)
  const groups = [{ prefix: [1, 5, 9], suffixes: [[7, 8, 30, 12]] }]
  const [ofMerged, ofAdapted, ofBase] = await Promise.all(
    [merged, adapted, before].map(async model => (await model.logProbs(groups))[0]![0]!),
  )
  const distance = (a: Float32Array, b: Float32Array) =>
    Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))
  t.true(distance(ofMerged!, ofAdapted!) < 1e-5) // sums in another order
  t.true(distance(ofAdapted!, ofBase!) > 1e-4, 'it was trained')
})

for (const kind of ['frozen', 'blended'] as const)
  test(`aborted, saved, resumed with a ${kind} reference: the same run bit for bit`, async t => {
    const whole = await train(demanding(kind))
    const config = demanding(kind)
    const controller = new AbortController()
    const stopped = await train(config, {
      signal: controller.signal,
      onEvent: (event: TrainEvent) => {
        if (event.type === 'phase' && event.phase === 'train' && event.step === 3) controller.abort()
      },
    })
    t.false(stopped.finished)
    const { finished, folder } = await train(config, { resume: true })
    t.true(finished)
    const { steps: _, ...resumed } = await results(folder)
    const { steps: __, ...same } = await results(whole.folder)
    t.true(Object.keys(same.contents as object).includes('adapter_model.safetensors'))
    t.deepEqual(resumed, same)
  })
