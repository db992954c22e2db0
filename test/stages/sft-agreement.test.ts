/** rlt distill and rlt warmup against transformers, whole conversations tokenised at once, and torch.optim.AdamW. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { distillKind, parseConfig, warmupKind } from '../../lib/config/index.js'
import { distillExample, endOfTurn, warmupExample } from '../../lib/data/index.js'
import { Model } from '../../lib/engine/index.js'
import { readSafetensorsFile } from '../../lib/models/index.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { distill } from '../../lib/stages/distill.js'
import { tokenGroup, tokenMean } from '../../lib/stages/sft/update.js'
import { warmup } from '../../lib/stages/warmup.js'
import {
  type Architecture,
  largestDifference,
  loadTiny,
  modelFolder,
  readGradients,
  worstRelativeError,
} from '../helpers/engine.js'
import { readRows } from './tiny-run.js'

/** Written by scripts/fixtures/engine/sft.py. */
interface Figures {
  heldOut: number
  rowsPerStep: number
  optimizer: object
  stages: Record<'distill' | 'warmup', StageFigures>
}

interface StageFigures {
  model: Architecture
  format: object
  rows: { question: string; explanation: string; solution: string; tokens: number[]; labels: number[] }[]
  steps: { loss: number; gradNorm: number; learningRate: number }[]
  heldOutLoss: { before: number; after: number }
}

// The engine and PyTorch both compute in fp32: sums of a few hundred terms in another order differ by about 1e-6; 1e-4 is
// what the engine promises. Weights after four steps of at most 2e-3 that divide by the root of a tiny second moment
// are compared absolutely, as the engine's own test of AdamW does.
const TOLERANCE = 1e-4

const fixtures = join(packageRoot(), 'test/fixtures/engine')
const figures: Figures = JSON.parse(await readFile(join(fixtures, 'sft.json'), 'utf8'))

async function readExpected(prefix: string): Promise<Map<string, Float32Array>> {
  const file = join(fixtures, 'sft.safetensors')
  const [{ entries }, bytes] = await Promise.all([readSafetensorsFile(file), readFile(file)])
  return new Map(
    entries
      .filter(({ name }) => name.startsWith(`${prefix}.`))
      .map(({ name, offset, byteLength }) => [
        name.slice(prefix.length + 1),
        new Float32Array(Uint8Array.from(bytes.subarray(offset, offset + byteLength)).buffer),
      ]),
  )
}

/** Up to 64 values, the i-th of n being that at floor(i * size / n). */
function evenlySpaced(values: Float32Array): Float32Array {
  const count = Math.min(64, values.length)
  return Float32Array.from({ length: count }, (_, i) => values[Math.floor((i * values.length) / count)]!)
}

async function configOf(stage: 'distill' | 'warmup') {
  const { model, format, rows } = figures.stages[stage]
  const folder = await mkdtemp(join(tmpdir(), 'rlt-sft-'))
  const path = join(folder, 'rows.jsonl')
  await writeFile(path, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  const trained = { model: modelFolder(model), dtype: 'float32' } as const
  const { heldOut, rowsPerStep, optimizer } = figures
  const shared = {
    ...({ device: 'cpu', threads: 1, format, optimizer } as const),
    data: { train: { path }, heldOut: { rows: heldOut }, shuffle: false },
    training: { steps: figures.stages[stage].steps.length, rowsPerStep },
    output: { folder: join(folder, 'run'), model: 'last' as const },
  }
  return { trained, shared }
}

async function run(stage: 'distill' | 'warmup') {
  const { trained, shared } = await configOf(stage)
  return stage === 'distill'
    ? distill({ student: trained, ...shared })
    : warmup({ teacher: trained, ...shared })
}

for (const stage of ['distill', 'warmup'] as const) {
  const expected = figures.stages[stage]

  const examplesOf = async (model: Model) => {
    const { trained, shared } = await configOf(stage)
    const { format } =
      stage === 'distill'
        ? parseConfig(distillKind, { student: trained, ...shared })
        : parseConfig(warmupKind, { teacher: trained, ...shared })
    const make = stage === 'distill' ? distillExample : warmupExample
    const end = endOfTurn(model.tokenizer)
    return expected.rows.map(row => make({ ...row, origin: '' }, format, model.tokenizer, end))
  }

  test(`${stage}: tokens and labels are those of the whole conversation`, async t => {
    const examples = await examplesOf(await loadTiny(t, expected.model))
    for (const [i, { prompt, completion }] of examples.entries()) {
      const { tokens, labels } = expected.rows[i]!
      t.deepEqual([...prompt, ...completion], tokens)
      t.deepEqual([...prompt.map(() => -100), ...completion], labels)
    }
  })

  test(`${stage}: loss and gradients of a step are those of autograd`, async t => {
    const model = await loadTiny(t, expected.model, { trainable: true })
    const batch = (await examplesOf(model)).slice(0, figures.rowsPerStep)
    // Rows apart, two together, all in one pack: how they are packed is not to matter.
    for (const tokenBudget of [1, 350, 4096]) {
      await model.zeroGradients()
      const { loss } = await model.backward(
        batch.map(tokenGroup),
        { kind: 'sft', weights: tokenMean(batch) },
        { tokenBudget },
      )
      t.true(Math.abs(loss - expected.steps[0]!.loss) < TOLERANCE, `${loss}`)
      const gradients = await readExpected(`${stage}.gradient`)
      const found = await readGradients(model, gradients.keys())
      const some = new Map([...found].map(([name, values]) => [name, evenlySpaced(values)]))
      const worst = worstRelativeError(some, gradients)
      t.true(worst.error < TOLERANCE, `${worst.name} differs by ${worst.error} of its size`)
    }
  })

  test(`${stage}: a whole run ends where transformers' does`, async t => {
    const result = await run(stage)
    const rows = await readRows(join(result.folder, 'metrics.jsonl'))
    t.is(rows.length, expected.steps.length)
    for (const [i, { loss, gradNorm, learningRate }] of expected.steps.entries()) {
      t.true(Math.abs((rows[i]!.loss as number) - loss) < TOLERANCE, `loss of step ${i + 1}`)
      t.true(Math.abs((rows[i]!.grad_norm as number) / gradNorm - 1) < TOLERANCE, `norm of step ${i + 1}`)
      t.true(Math.abs((rows[i]!.lr as number) / learningRate - 1) < 1e-12)
    }
    for (const when of ['before', 'after'] as const)
      t.true(Math.abs(result.heldOutLoss![when] - expected.heldOutLoss[when]) < TOLERANCE, when)

    const model = await Model.load(result.model!, { dtype: 'float32', device: 'cpu' })
    t.teardown(() => model.dispose())
    for (const [name, values] of await readExpected(`${stage}.weights`)) {
      const found = evenlySpaced(await model.readParameter(name))
      t.true(largestDifference(t, [[found]], [[values]]) < TOLERANCE, name)
    }
  })
}
