import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import {
  type DistillConfigInput,
  distillKind,
  loadConfig,
  parseConfig,
  presetNames,
  warmupKind,
} from '../../lib/config/index.js'
import { createRowWriter, distillExample, endOfTurn } from '../../lib/data/index.js'
import { Model } from '../../lib/engine/index.js'
import { ConfigurationError, DataError } from '../../lib/errors.js'
import type { TrainEvent } from '../../lib/report/index.js'
import { RunError } from '../../lib/runs/index.js'
import { distill } from '../../lib/stages/distill.js'
import { explain } from '../../lib/stages/explain.js'
import { runPipeline } from '../../lib/stages/pipeline.js'
import { tokenGroup } from '../../lib/stages/sft/update.js'
import { warmup } from '../../lib/stages/warmup.js'
import { tinyExplain } from './tiny-explain.js'
import { writeTinyModel } from './tiny-model.js'
import { type DeepPartial, folder, type JsonRow, model, otherTokenizer, readRows } from './tiny-run.js'
import { tinyDistill, tinyWarmup, tracesFile } from './tiny-sft.js'

const plainModel = { dtype: 'float32', device: 'cpu' } as const

const metricsOf = (run: string) => readRows(join(run, 'metrics.jsonl'))
const evaluationOf = (run: string) => readRows(join(run, 'evaluation.jsonl'))
const lossesOf = async (run: string) => (await evaluationOf(run)).map(row => row['held_out/loss'] as number)
const checkpointsOf = async (run: string) => (await readdir(join(run, 'checkpoints'))).sort()

async function fileOf(rows: readonly object[], name: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  return path
}

async function warnings(run: (onEvent: (event: TrainEvent) => void) => Promise<unknown>): Promise<string[]> {
  const found: string[] = []
  await run(event => {
    if (event.type === 'message' && event.level === 'warning') found.push(event.text)
  })
  return found
}

for (const [name, run, config] of [
  ['distill', distill, tinyDistill],
  ['warmup', warmup, tinyWarmup],
] as const)
  test(`${name} learns: the held-out loss falls, and the run folder has all that is needed`, async t => {
    const result = await run(config() as never)
    t.like(result, { step: 6, steps: 6, modelStep: 6, finished: true })
    t.true(result.heldOutLoss!.after < result.heldOutLoss!.before - 0.3)
    const rows = await metricsOf(result.folder)
    t.deepEqual(
      rows.map(({ step, rows, epoch }) => [step, rows, Math.round(9 * (epoch as number))]),
      [1, 2, 3, 4, 5, 6].map(step => [step, 3, 3 * step]),
    )
    for (const row of rows) {
      t.true((row.tokens as number) > (row.loss_tokens as number))
      for (const key of [
        'loss',
        'entropy',
        'lr',
        'grad_norm',
        'seconds',
        'tokens_per_second',
        'peak_memory_bytes',
      ])
        t.true((row[key] as number) > 0, key)
    }
    const evaluations = await evaluationOf(result.folder)
    t.deepEqual(
      evaluations.map(row => row.step),
      [0, 2, 4, 6],
    )
    const files = await readdir(result.model!)
    t.true(['config.json', 'model.safetensors', 'tokenizer.json'].every(file => files.includes(file)))
    t.false(files.includes('training'))
    t.true((await readdir(result.folder)).includes('config.yaml'))
  })

test('the held-out loss is the mean over tokens of what the trained model says of them', async t => {
  const { model: trained, heldOutLoss } = await distill(tinyDistill())
  const loaded = await Model.load(trained!, plainModel)
  t.teardown(() => loaded.dispose())
  const { format } = parseConfig(distillKind, tinyDistill())
  const rows = (await readRows(tracesFile)).slice(-2) as unknown as Parameters<typeof distillExample>[0][]
  const end = endOfTurn(loaded.tokenizer)
  const groups = rows.map(row => tokenGroup(distillExample(row, format, loaded.tokenizer, end)))
  const values = (await loaded.logProbs(groups)).flat().flatMap(row => [...row])
  const mean = -values.reduce((a, b) => a + b) / values.length
  // The same figures in another order of summation, in float64.
  t.true(Math.abs(mean - heldOutLoss!.after) < 1e-9)
})

test('the loss of a step is the mean over its tokens before the update', async t => {
  // One step over a copy of the rows that are held out: what is measured before it is what it reports.
  const path = await fileOf((await readRows(tracesFile)).slice(0, 4), 'copy.jsonl')
  const { folder: run } = await distill(
    tinyDistill({
      data: { train: { limit: 4 }, heldOut: { rows: undefined, path } },
      training: { steps: 1, rowsPerStep: 4 },
    }),
  )
  const [{ loss }] = (await metricsOf(run)) as [{ loss: number }]
  const [before] = await lossesOf(run)
  // Backward and scoring passes round differently, in fp32.
  t.true(Math.abs(loss - before!) < 1e-5, `${loss} and ${before}`)
})

test('the best checkpoint is kept while later ones come and go, and becomes the model', async t => {
  const learningRate = 0.3 // so high that it soon gets worse
  const config = tinyDistill({ optimizer: { learningRate }, training: { evaluateEvery: 1, saveEvery: 1 } })
  const { modelStep, model: best, folder: run, heldOutLoss } = await distill(config)
  const losses = await lossesOf(run)
  const lowest = losses.indexOf(Math.min(...losses.slice(1)))
  t.true(lowest < 6, losses.join(' '))
  t.is(modelStep, lowest)
  t.deepEqual(heldOutLoss, { before: losses[0]!, after: losses[lowest]! })
  t.deepEqual(await checkpointsOf(run), [`step-${lowest}`, 'step-6'])
  const bytes = (path: string) => readFile(join(path, 'model.safetensors'))
  t.deepEqual(await bytes(best!), await bytes(join(run, 'checkpoints', `step-${lowest}`)))
  t.notDeepEqual(await bytes(best!), await bytes(join(run, 'checkpoints', 'step-6')))

  // It can still be said otherwise.
  const last = await distill({ ...config, output: { ...config.output, model: 'last' } }, { resume: true })
  t.is(last.modelStep, 6)
  t.deepEqual(await bytes(last.model!), await bytes(join(run, 'checkpoints', 'step-6')))
})

test('a loss that rises is told of', async t => {
  const config = tinyDistill({ optimizer: { learningRate: 30, schedule: 'constant' } })
  const told = await warnings(onEvent => distill(config, { onEvent }))
  t.regex(told.join('\n'), /the held-out loss was lower before training \(\d\.\d+\) than it is after/)
})

test('without held-out rows the last checkpoint is the model, and nothing is measured', async t => {
  const result = await warmup(tinyWarmup({ data: { heldOut: null }, training: { evaluateEvery: 0 } }))
  t.like(result, { modelStep: result.steps, heldOutLoss: undefined, finished: true })
  t.false((await readdir(result.folder)).includes('evaluation.jsonl'))
})

test('two runs of one seed are the same, and another seed is another run', async t => {
  const losses = async (seed: number) =>
    (await metricsOf((await distill(tinyDistill({ training: { seed } }))).folder)).map(row => row.loss)
  const [first, again, other] = [await losses(1), await losses(1), await losses(2)]
  t.deepEqual(first, again)
  t.notDeepEqual(first, other)
})

test('how rows are packed changes nothing but rounding', async t => {
  const losses = async (tokenBudget: number) =>
    (await metricsOf((await distill(tinyDistill({ training: { tokenBudget } }))).folder)).map(
      row => row.loss as number,
    )
  const [apart, together] = [await losses(1), await losses(4096)]
  // Six steps in fp32, each after gradients that were summed in another order.
  for (const [i, loss] of apart.entries()) t.true(Math.abs(loss - together[i]!) < 1e-4, `step ${i + 1}`)
})

test('what is kept for the backward pass changes nothing, and each step says which policy it took', async t => {
  const rowsWith = async (training: DeepPartial<DistillConfigInput['training']>) =>
    metricsOf((await distill(tinyDistill({ training }))).folder)
  const runs = {
    none: await rowsWith({ checkpointing: 'none' }),
    selective: await rowsWith({ checkpointing: 'selective' }),
    'every-layer': await rowsWith({ checkpointing: 'every-layer' }),
  }
  for (const [policy, rows] of Object.entries(runs)) {
    t.deepEqual(
      rows.map(row => row.loss),
      runs.none.map(row => row.loss),
    )
    for (const row of rows) t.true((row[`passes/${policy}`] as number) > 0)
  }
  // What the machine has left is plenty for a tiny model; ten bytes are not.
  for (const row of await rowsWith({})) t.true((row['passes/none'] as number) > 0)
  for (const row of await rowsWith({ memoryBudget: '10B' })) t.true((row['passes/every-layer'] as number) > 0)
})

const longRow = { question: 'what?', explanation: `so ${'on and '.repeat(80)}on.`, solution: 'that.' }

async function withLongRow(): Promise<string> {
  const rows = await readRows(tracesFile)
  return fileOf(rows.toSpliced(1, 0, longRow), `long-${Math.random().toString(36).slice(2)}.jsonl`)
}

test('a row that is too long is refused with its length and what is allowed, before the first step', async t => {
  const path = await withLongRow()
  const error = await t.throwsAsync(distill(tinyDistill({ data: { train: { path } } })), {
    instanceOf: DataError,
  })
  t.regex(
    error.message,
    /long-\w+\.jsonl:2: prompt and completion have \d+ \+ \d+ tokens; expected at most 512 \(the context of .*data\.longRows: skip, or their ends with truncate/s,
  )
})

test('rows that are too long can be left out, or cut', async t => {
  const path = await withLongRow()
  const tokens: number[] = []
  for (const [longRows, rows, fate] of [
    ['skip', 10, 'left out'],
    ['truncate', 11, 'cut at their ends'],
  ] as const) {
    const config = tinyDistill({
      data: { train: { path }, longRows, heldOut: { rows: 1 }, maxTokens: 300 },
      training: { epochs: 1, rowsPerStep: 100 },
    })
    const told = await warnings(onEvent => distill(config, { onEvent }))
    t.regex(
      told[0]!,
      new RegExp(`^1 of 11 rows are ${fate}; the first, .*:2: .*at most 300 \\(data.maxTokens\\)`),
    )
    const [row] = await metricsOf(config.output.folder)
    t.is(row!.rows, rows)
    tokens.push(row!.tokens as number)
  }
  t.is(tokens[1]! - tokens[0]!, 300)
})

test('rows that lack what is needed can be left out', async t => {
  const rows = await readRows(tracesFile)
  const { explanation: _, ...bare } = rows[0]!
  const path = await fileOf([...rows.slice(0, 2), bare, ...rows.slice(2), { messages: [] }], 'invalid.jsonl')
  const config = tinyDistill({ data: { train: { path }, invalidRows: 'skip' }, training: { steps: 1 } })
  const told = await warnings(onEvent => distill(config, { onEvent }))
  t.regex(told[0]!, /^2 rows are left out; the first: .*invalid\.jsonl:3: there is no column explanation/)
  const whole = await distill(tinyDistill({ training: { steps: 1 } }))
  const loss = async (run: string) => (await metricsOf(run))[0]!.loss
  t.is(await loss(config.output.folder), await loss(whole.folder))

  const none = await fileOf([bare, bare], 'none.jsonl')
  const nothing = tinyDistill({ data: { train: { path: none }, invalidRows: 'skip' } })
  await t.throwsAsync(distill(nothing), {
    instanceOf: DataError,
    message: /data\.train: no row is valid\. The first: /,
  })
})

test('where no row is short enough, nothing is trained', async t => {
  const config = tinyWarmup({ data: { longRows: 'truncate', maxTokens: 10 } })
  await t.throwsAsync(warmup(config), {
    instanceOf: DataError,
    message: /No row is short enough\. The first, /,
  })
})

test('a model that cannot know its end is told of', async t => {
  const other = await writeTinyModel(join(folder, 'no-end'))
  const file = join(other, 'config.json')
  const config = JSON.parse(await readFile(file, 'utf8'))
  await writeFile(file, JSON.stringify({ ...config, eos_token_id: 2 }))
  const told = await warnings(onEvent =>
    distill(tinyDistill({ student: { model: other }, training: { steps: 1 } }), { onEvent }),
  )
  t.regex(told[0]!, /learns to end its turn with <\|im_end\|>, which is not among the end-of-sequence tokens/)
})

test('other data than those of the start are refused', async t => {
  const rows = (await readRows(tracesFile)) as JsonRow[]
  const path = await fileOf(rows, 'changing.jsonl')
  const config = tinyDistill({ data: { train: { path } }, training: { steps: 1 } })
  await distill(config)
  await fileOf(
    [...rows.slice(0, 3), { ...rows[3], explanation: 'otherwise.' }, ...rows.slice(4)],
    'changing.jsonl',
  )
  const error = await t.throwsAsync(distill(config, { resume: true }), { instanceOf: RunError })
  t.regex(error.message, /not those that the run was started with/)
})

test('adapters alone are trained: PEFT can load them, and the model is the merged one', async t => {
  const { model: merged } = await distill(tinyDistill({ student: { lora: { rank: 4 } } }))
  t.true((await readdir(merged!)).includes('adapter'))
  const [whole, adapted] = [
    await Model.load(merged!, plainModel),
    await Model.load(model, { ...plainModel, adapter: join(merged!, 'adapter') }),
  ]
  t.teardown(() => {
    for (const loaded of [whole, adapted]) loaded.dispose()
  })
  const groups = [{ prefix: [1, 5, 9], suffixes: [[7, 8, 30, 12]] }]
  const values = await Promise.all(
    [whole, adapted].map(async loaded => [...(await loaded.logProbs(groups))[0]![0]!]),
  )
  for (const [i, value] of values[0]!.entries()) t.true(Math.abs(value - values[1]![i]!) < 1e-5)
})

test('rows in Parquet are the same rows', async t => {
  const path = join(folder, 'traces.parquet')
  const writer = await createRowWriter(path, { question: 'text', explanation: 'text', solution: 'text' })
  await writer.write((await readRows(tracesFile)) as never)
  await writer.finish()
  const losses = async (train: object) =>
    (await metricsOf((await distill(tinyDistill({ data: { train } }))).folder)).map(row => row.loss)
  t.deepEqual(await losses({ path }), await losses({ path: tracesFile }))
})

test('a student of another tokenizer learns what explain wrote, as it is', async t => {
  const explained = await tinyExplain({ sampling: { completions: 8 } })
  const { explanations } = await explain(explained)
  const result = await distill(
    tinyDistill({
      student: { model: otherTokenizer },
      data: { train: { path: explained.output.path }, heldOut: null },
      training: { epochs: 1, evaluateEvery: 0 },
    }),
  )
  t.true(result.finished)
  t.is(result.steps, Math.ceil(explanations / 3))
})

test('in a pipeline: warm-up, then a student of what it left', async t => {
  const { teacher, output: _, ...config } = tinyWarmup()
  const pipeline = join(folder, 'pipeline-sft')
  const stages = {
    distill: {
      stage: 'distill',
      config: { ...config, student: { ...teacher, model: '${stages.warmup.model}' } },
    },
    warmup: { stage: 'warmup', config: { ...config, teacher } },
  }
  const order: string[] = []
  const run = () =>
    runPipeline({ folder: pipeline, stages } as never, {
      onEvent: event => event.type === 'start' && order.push(event.name),
    })
  t.true((await run()).finished)
  t.deepEqual(order, ['warmup', 'distill'])
  t.true((await readdir(join(pipeline, 'distill', 'model'))).includes('model.safetensors'))
  await run()
  t.deepEqual(order, ['warmup', 'distill'], 'what is complete is not done again')
})

test('presets are valid, and those of the paper have its values', async t => {
  t.deepEqual(await presetNames(warmupKind), ['paper-7b', 'quickstart'])
  t.deepEqual(await presetNames(distillKind), ['paper-17k', 'paper-1k', 'quickstart'])
  for (const kind of [warmupKind, distillKind])
    for (const name of await presetNames(kind))
      await t.notThrowsAsync(loadConfig(kind as typeof warmupKind, name))
  const { config } = await loadConfig(warmupKind, 'paper-7b')
  t.like(config.optimizer, { learningRate: 1e-5, schedule: 'cosine', warmupShare: 0.05, betas: [0.9, 0.95] })
  t.like(config.training, { epochs: 10, rowsPerStep: 16 })
  for (const name of ['paper-1k', 'paper-17k']) {
    const { config: student } = await loadConfig(distillKind, name)
    t.like(student.optimizer, { learningRate: 1e-5, schedule: 'cosine', warmupShare: 0.1 })
    t.like(student.training, { epochs: 3, rowsPerStep: 96 })
    t.is(student.data.train.limit, name === 'paper-1k' ? 1000 : null)
  }
})

test('combinations that cannot work are refused', async t => {
  const refused = (changes: object, message: RegExp) =>
    t.throwsAsync(distill(tinyDistill(changes)), { instanceOf: ConfigurationError, message })
  await refused({ data: { heldOut: null } }, /training\.evaluateEvery.*there is nothing to evaluate on/s)
  await refused({ data: { heldOut: { path: tracesFile, rows: undefined } } }, /these rows are trained on too/)
  await refused(
    { student: { lora: { targets: ['q_proj', 'q_proj'] } } },
    /student\.lora\.targets.*listed twice/s,
  )
  await refused({ format: { studentUser: 'why?' } }, /format\.studentUser.*\{question\} once/s)
  await refused({ student: { model: undefined } }, /student\.model.*missing/s)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
