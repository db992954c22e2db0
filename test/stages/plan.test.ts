import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { loadConfig, trainKind } from '../../lib/config/index.js'
import { checkpointingPolicies, defaultDtype } from '../../lib/engine/index.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { knownShapes, parametersOf } from '../../lib/stages/plan/shapes.js'
import { plan } from '../../lib/stages/plan.js'

const gibibyte = 2 ** 30

async function planned(name: string, sets: string[], options: Parameters<typeof plan>[1]) {
  const { config } = await loadConfig(trainKind, name, sets)
  return plan(config, options)
}

test('Qwen2.5-7B has the number of parameters that its model card states', t => {
  // 7.61 billion, of which 6.53 are not in the embeddings.
  const shape = knownShapes['Qwen/Qwen2.5-7B-Instruct']!
  t.is(Math.round(parametersOf(shape) / 1e7), 762)
  t.is(Math.round((parametersOf(shape) - 2 * shape.vocabularySize * shape.hiddenSize) / 1e7), 653)
})

test('the paper’s run fits on eight GPUs of 80 GiB and not on one', async t => {
  const eight = await planned('paper-7b', [], { gpus: 8, memoryBytes: 80 * gibibyte })
  t.true(eight.fits)
  t.is(eight.tokensPerStep.completions, 16 * 64 * 16384)
  // fp32 gradients and moments of 7.62e9 weights, an eighth of them on each.
  t.is(Math.round(eight.parts.gradients / 1e8), Math.round((4 * 76.2) / 8))
  t.is(Math.round(eight.parts.moments / 1e8), Math.round((8 * 76.2) / 8))

  const one = await planned('paper-7b', [], { gpus: 1, memoryBytes: 80 * gibibyte })
  t.false(one.fits)
  t.regex(one.changes[0]!.change, /^--gpus \d+$/)
  t.true(one.changes[0]!.peakBytes <= 80 * gibibyte)
})

test('adapters alone have gradients and moments, and the teacher as it was takes no memory of its own', async t => {
  const sets = ['teacher.dtype=bfloat16', 'reference.kind=frozen', 'students.0.model=teacher']
  const whole = await planned('paper-7b', sets, { gpus: 1, memoryBytes: 80 * gibibyte })
  const adapted = await planned('paper-7b', [...sets, 'teacher.lora.rank=8'], {
    gpus: 1,
    memoryBytes: 80 * gibibyte,
  })
  // Of a layer of Qwen2.5-7B: inputs and outputs of q, k, v, o, gate, up and down, by PEFT's print_trainable_parameters.
  const adapters = 20_185_088
  t.is(adapted.parts.gradients, 4 * adapters)
  t.is(adapted.parts.moments, 8 * adapters)
  t.is(adapted.parts.masterWeights, 0)
  t.is(whole.parts.weights / 2, adapted.parts.weights - 4 * adapters)
})

test('a run that does not fit on the CPU is told a change that does it', async t => {
  const sets = ['teacher.dtype=bfloat16', 'training.checkpointing=none']
  const whole = await planned('quickstart', sets, {})
  const short = await planned('quickstart', sets, {
    memoryBytes: whole.peakBytes * 0.8,
  })
  t.false(short.fits)
  t.true(short.changes.length > 0)
  for (const { peakBytes } of short.changes) t.true(peakBytes <= whole.peakBytes * 0.8)
})

test('checkpointing is the fastest that fits with a tenth to spare', async t => {
  const sets = ['teacher.dtype=bfloat16', 'sampling.cacheBytes=100000000']
  const peaks: number[] = []
  for (const policy of checkpointingPolicies) {
    const fixed = await planned('quickstart', [...sets, `training.checkpointing=${policy}`], {
      memoryBytes: gibibyte,
    })
    t.is(fixed.checkpointing, policy)
    const enough = { memoryBytes: Math.ceil(1.1 * fixed.peakBytes) }
    t.is((await planned('quickstart', sets, enough)).checkpointing, policy)
    const budget = `training.memoryBudget=${enough.memoryBytes}`
    t.is((await planned('quickstart', [...sets, budget], { memoryBytes: 2 ** 40 })).checkpointing, policy)
    t.is((await planned('quickstart', [...sets, budget], {})).memoryBytes, enough.memoryBytes)
    peaks.push(fixed.peakBytes)
  }
  t.deepEqual(
    peaks,
    peaks.toSorted((a, b) => b - a),
  )
  t.is((await planned('quickstart', sets, { memoryBytes: 1 })).checkpointing, 'every-layer')
})

test('a memory budget can be said in units', async t => {
  const budgetOf = async (text: string) =>
    (await loadConfig(trainKind, 'quickstart', [`training.memoryBudget=${text}`])).config.training
      .memoryBudget
  t.is(await budgetOf('1.5GiB'), 1.5 * gibibyte)
  t.is(await budgetOf('16 GB'), 16e9)
  t.is(await budgetOf('4096'), 4096)
  t.is(await budgetOf('null'), null)
  for (const wrong of ['much', '4Gi', '-1GiB', '0B'])
    await t.throwsAsync(budgetOf(wrong), { message: /memoryBudget.*such as 4GiB/s })
})

for (const [moments, checkpointing] of [
  ['float32', 'selective'],
  ['8bit', 'none'],
  ['8bit', 'selective'],
  ['8bit', 'every-layer'],
])
  test.serial(
    `the peak with ${moments} moments and checkpointing ${checkpointing} is foreseen within 10 %`,
    async t => {
      const folder = await mkdtemp(join(tmpdir(), 'rlt-plan-'))
      t.teardown(() => rm(folder, { recursive: true, force: true }))
      // The second step is the first that has the optimizer's state from its beginning.
      const sets = [
        'training.steps=2',
        'data.heldOut.rows=1',
        `optimizer.moments=${moments}`,
        `training.checkpointing=${checkpointing}`,
        `teacher.dtype=${defaultDtype()}`,
      ]
      const expected = await planned('quickstart', sets, { memoryBytes: 16 * gibibyte })
      await promisify(execFile)(process.execPath, [
        join(packageRoot(), 'dist', 'lib', 'cli', 'main.js'),
        ...[
          'train',
          'quickstart',
          ...[...sets, `output.folder=${join(folder, 'run')}`].flatMap(set => ['--set', set]),
        ],
      ])
      const rows = (await readFile(join(folder, 'run', 'metrics.jsonl'), 'utf8')).trimEnd().split('\n')
      const measured = JSON.parse(rows.at(-1)!).peak_memory_bytes
      t.log(
        `planned ${expected.peakBytes}, measured ${measured}: ${(expected.peakBytes / measured).toFixed(3)}`,
      )
      t.true(
        Math.abs(expected.peakBytes / measured - 1) < 0.1,
        `planned ${expected.peakBytes}, measured ${measured}`,
      )
    },
  )
