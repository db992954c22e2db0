import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { AdamW, type AdamWOptions, type Model } from '../../lib/engine/index.js'
import { readSafetensorsFile, stateTypes } from '../../lib/models/index.js'
import {
  loadTiny,
  lossOf,
  parameterNames,
  readFigures,
  relativeError,
  temporaryFolder,
} from '../helpers/engine.js'

const LEARNING_RATE = 1e-3
const DECAY = 0.01
const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8]

/** A matrix, and a vector, which is not decayed. */
const watched = ['model.layers.1.mlp.down_proj.weight', 'model.layers.0.input_layernorm.weight']

/** AdamW of one tensor in float64, written down from the paper (algorithm 2), beside the engine's. */
class PlainAdamW {
  readonly weights: Float64Array
  private readonly first: Float64Array
  private readonly second: Float64Array
  private steps = 0

  constructor(
    initial: Float32Array,
    private readonly decay: number,
  ) {
    this.weights = Float64Array.from(initial)
    this.first = new Float64Array(initial.length)
    this.second = new Float64Array(initial.length)
  }

  step(gradient: Float32Array): void {
    this.steps++
    gradient.forEach((g, i) => {
      this.first[i] = BETA1 * this.first[i]! + (1 - BETA1) * g
      this.second[i] = BETA2 * this.second[i]! + (1 - BETA2) * g * g
      const mean = this.first[i]! / (1 - BETA1 ** this.steps)
      const root = Math.sqrt(this.second[i]! / (1 - BETA2 ** this.steps))
      this.weights[i]! -= LEARNING_RATE * (mean / (root + EPSILON) + this.decay * this.weights[i]!)
    })
  }
}

/** Steps of the engine and of {@link PlainAdamW} with the same gradients; what both have come to, and where from. */
async function stepBeside(
  t: ExecutionContext,
  model: Model,
  moments: AdamWOptions['moments'],
  steps: number,
) {
  const optimizer = new AdamW(model, { weightDecay: DECAY, ...(moments && { moments }) })
  t.teardown(() => optimizer.dispose())
  const { groups, sft } = await readFigures('llama-tied')
  const before = await Promise.all(watched.map(name => model.readParameter(name)))
  const plain = before.map((values, i) => new PlainAdamW(values, i === 0 ? DECAY : 0))
  for (let step = 0; step < steps; step++) {
    await model.backward(groups, lossOf(sft))
    for (const [i, name] of watched.entries()) plain[i]!.step(await model.readGradient(name))
    await optimizer.step({ learningRate: LEARNING_RATE })
  }
  return { optimizer, before, plain: plain.map(({ weights }) => Float32Array.from(weights)) }
}

/** The master weights of a bfloat16 model: its weights with the lower halves that the optimizer saved. */
async function masterWeights(t: ExecutionContext, model: Model, optimizer: AdamW): Promise<Float32Array[]> {
  const file = join(await temporaryFolder(t), 'optimizer.safetensors')
  await optimizer.save(file)
  const { entries } = await readSafetensorsFile(file, stateTypes)
  const bytes = await readFile(file)
  return Promise.all(
    watched.map(async name => {
      const entry = entries.find(entry => entry.name === `master_lower_half.${name}`)!
      t.is(entry.type as string, 'I16')
      const values = await model.readParameter(name)
      const bits = new Int32Array(values.buffer)
      return Float32Array.from(values, (_, i) => {
        const lower = bytes.readInt16LE(entry.offset + 2 * i)
        return new Float32Array(Int32Array.of(bits[i]! + lower).buffer)[0]!
      })
    }),
  )
}

test('in fp32 the steps are those of the paper', async t => {
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const { plain } = await stepBeside(t, model, 'float32', 5)
  for (const [i, name] of watched.entries()) {
    // fp32 has seven digits; five steps round a handful of times.
    t.true(relativeError(await model.readParameter(name), plain[i]!) < 1e-6, name)
  }
})

test('in bfloat16 the master weights are fp32, and the weights are they, rounded', async t => {
  const model = await loadTiny(t, 'llama-tied', { dtype: 'bfloat16', trainable: true })
  const { optimizer, plain } = await stepBeside(t, model, 'float32', 5)
  const masters = await masterWeights(t, model, optimizer)
  for (const [i, name] of watched.entries()) {
    t.true(relativeError(masters[i]!, plain[i]!) < 1e-6, name)
    const weights = await model.readParameter(name)
    // Nearest: no further away than half the spacing of 8 bits.
    t.true(weights.every((value, j) => Math.abs(value - masters[i]![j]!) <= Math.abs(value) * 2 ** -8))
  }
})

for (const dtype of ['float32', 'bfloat16'] as const) {
  test(`8-bit moments step nearly where fp32 ones do, in ${dtype}`, async t => {
    const model = await loadTiny(t, 'llama-tied', { dtype, trainable: true })
    const { optimizer, before, plain } = await stepBeside(t, model, '8bit', 10)
    const now =
      dtype === 'float32'
        ? await Promise.all(watched.map(name => model.readParameter(name)))
        : await masterWeights(t, model, optimizer)
    for (const [i, name] of watched.entries()) {
      const moved = now[i]!.map((value, j) => value - before[i]![j]!)
      const expected = plain[i]!.map((value, j) => value - before[i]![j]!)
      // A code is off by up to 0.9 / 64 / 2 of 0.1 to 1 in its top decade, three to four times as much in the next:
      // some percent of a step, not in the same direction each time.
      const error = relativeError(moved, expected)
      t.true(error < 0.1, `${name}: ${error}`)
      t.true(error > 0, 'eight bits are not thirty-two')
    }
  })
}

for (const moments of ['float32', '8bit'] as const) {
  for (const dtype of ['float32', 'bfloat16'] as const) {
    test(`${moments} moments of a ${dtype} model, saved and loaded: the next step is the same bit for bit`, async t => {
      const folder = await temporaryFolder(t)
      const file = join(folder, 'optimizer.safetensors')
      const model = await loadTiny(t, 'llama-tied', { dtype, trainable: true })
      const { optimizer } = await stepBeside(t, model, moments, 2)
      await optimizer.save(file)
      await model.save(join(folder, 'model'))
      const { groups, sft } = await readFigures('llama-tied')
      const next = async (model: Model, optimizer: AdamW) => {
        await model.backward(groups, lossOf(sft))
        await optimizer.step({ learningRate: LEARNING_RATE })
        await optimizer.save(`${file}.next`)
        const weights = await Promise.all(parameterNames(model).map(name => model.readParameter(name)))
        return { weights, state: await readFile(`${file}.next`) }
      }
      const expected = await next(model, optimizer)

      const { Model } = await import('../../lib/engine/index.js')
      const again = await Model.load(join(folder, 'model'), { dtype, device: 'cpu', trainable: true })
      t.teardown(() => again.dispose())
      const resumed = new AdamW(again, { weightDecay: DECAY, moments })
      t.teardown(() => resumed.dispose())
      await resumed.load(file)
      t.is(resumed.stepCount, 2)
      t.deepEqual(await next(again, resumed), expected)
    })
  }
}

test('a state with moments of another type is refused', async t => {
  const file = join(await temporaryFolder(t), 'optimizer.safetensors')
  const model = await loadTiny(t, 'llama-tied', { trainable: true })
  const optimizer = new AdamW(model)
  t.teardown(() => optimizer.dispose())
  await optimizer.save(file)
  const other = new AdamW(model, { moments: '8bit' })
  t.teardown(() => other.dispose())
  const error = await t.throwsAsync(other.load(file))
  t.regex(
    error!.message,
    /optimizer\.safetensors is not the state of this optimizer: it lacks first_moment_codes\./,
  )
})
