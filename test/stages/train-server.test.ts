/** Training on samples of a server: one that draws with our own engine, in the shapes of several kinds of server. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parseConfig, type TrainConfigInput, trainKind } from '../../lib/config/index.js'
import { readDataset } from '../../lib/data/index.js'
import { Model } from '../../lib/engine/index.js'
import { ConfigurationError, ServerError } from '../../lib/errors.js'
import { Questions } from '../../lib/stages/train/questions.js'
import { train } from '../../lib/stages/train.js'
import { engineServer } from './engine-server.js'
import { type DeepPartial, folder, model, otherTokenizer, readRows, tinyConfig } from './tiny-run.js'

async function teacherOf(t: ExecutionContext, blend: number): Promise<Model> {
  const options = { dtype: 'float32', device: 'cpu', trainable: false } as const
  const [teacher, other] = [await Model.load(model, options), await Model.load(otherTokenizer, options)]
  t.teardown(() => teacher.dispose())
  if (blend > 0) await teacher.copyParametersFrom(other, blend)
  other.dispose()
  return teacher
}

const atServer = (address: string, kind: string, changes: DeepPartial<TrainConfigInput> = {}) =>
  tinyConfig({
    ...changes,
    sampling: {
      ...{ completions: 4, maxNewTokens: 48 },
      ...changes.sampling,
      server: {
        ...{ address, kind, model: 'the-teacher', requests: { retries: 1, timeoutSeconds: 60 } },
        ...changes.sampling?.server,
      },
    } as never,
  })

const metricsOf = (run: string) => readRows(join(run, 'metrics.jsonl'))

for (const kind of ['vllm', 'sglang', 'llama-server'] as const) {
  test(`${kind}: samples of other weights are weighed by their ratio`, async t => {
    const server = await engineServer(t, { kind, base: model, model: await teacherOf(t, 0.05) })
    const { folder } = await train(
      atServer(server.address, kind, { training: { steps: 1, evaluateEvery: 0 } }),
    )
    const [row] = await metricsOf(folder)
    t.is(server.asked.length, 8)
    const seeds = server.asked.map(({ body }) => body.seed ?? body.sampling_params.sampling_seed)
    t.is(new Set(seeds).size, 8)
    t.true((row!.sampler_trainer_gap as number) > 1e-3)
    t.true((row!.importance_ratio_max as number) > 1.01)
    t.true(Math.abs((row!.importance_ratio_mean as number) - 1) < 0.5)
    t.is(row!.sampler_staleness, 0)
    t.is(row!.ratio_mean, 1)
  })

  test(`${kind}: with the same weights and draws the step is that of the own sampler`, async t => {
    const own = tinyConfig({ training: { steps: 1 } })
    const sampler = await teacherOf(t, 0)
    const parsed = parseConfig(trainKind, own)
    const questions = new Questions((await readDataset(parsed.data)).train, parsed, sampler.tokenizer)
    const bySeed = new Map(
      questions
        .ofStep(1)
        .flatMap(request =>
          Array.from(
            { length: request.samples },
            (_, sample) =>
              [Number(BigInt.asUintN(31, request.seed + BigInt(sample))), { request, sample }] as const,
          ),
        ),
    )
    const ofSeed = (seed: number) => bySeed.get(seed)!
    const server = await engineServer(t, { kind, base: model, model: sampler, ofSeed })
    const served = await train(atServer(server.address, kind, { training: { steps: 1 } }))
    const [[expected], [actual]] = [
      await metricsOf((await train(own)).folder),
      await metricsOf(served.folder),
    ]
    // fp32 in batches of another shape: log-probabilities differ by less than 1e-5, and weights by as little from 1.
    t.true(Math.abs((actual!.importance_ratio_mean as number) - 1) < 1e-5)
    t.is(actual!.importance_weights_capped, 0)
    t.is(actual!.completion_tokens, expected!.completion_tokens)
    for (const name of ['reward', 'loss', 'grad_norm'])
      t.true(Math.abs((actual![name] as number) - (expected![name] as number)) < 1e-4, name)
  })
}

test('a server of texts only: it is said that nothing is corrected for', async t => {
  const server = await engineServer(t, { kind: 'openai', base: model, model: await teacherOf(t, 0.05) })
  const warnings: string[] = []
  const { folder } = await train(atServer(server.address, 'openai', { training: { steps: 2 } }), {
    onEvent: event => event.type === 'message' && event.level === 'warning' && warnings.push(event.text),
  })
  t.is(warnings.filter(text => text.includes('tokenised again')).length, 1)
  const rows = await metricsOf(folder)
  t.is(rows[0]!.sampler_trainer_gap, null)
  t.is(rows[0]!.importance_weight_mean, 1)
  t.deepEqual(
    rows.map(row => row.sampler_staleness),
    [0, 1],
  )
})

for (const [kind, update, lora] of [
  ['sglang', 'sglang', null],
  ['vllm', 'vllm-lora', { rank: 4 }],
] as const)
  test(`${update}: an updated server has the teacher's own weights`, async t => {
    const server = await engineServer(t, { kind, base: model, model: await teacherOf(t, 0.3) })
    const { folder } = await train(
      atServer(server.address, kind, {
        teacher: { lora },
        sampling: { server: { update: { kind: update, everySteps: 2 } } } as never,
        optimizer: { learningRate: 1e-2 },
        training: { steps: 4 },
      }),
    )
    const rows = await metricsOf(folder)
    t.deepEqual(
      rows.map(row => row.sampler_staleness),
      [0, 1, 0, 1],
    )
    const gaps = rows.map(row => row.sampler_trainer_gap as number)
    // The same weights in fp32, adapters merged or not; and after an update of the teacher, others.
    t.true(gaps[0]! < 1e-4 && gaps[2]! < 1e-4, `${gaps}`)
    t.true(gaps[1]! > 1e-3 && gaps[3]! > 1e-3, `${gaps}`)
  })

test('a server that fails is tried again, then named with its status', async t => {
  const server = await engineServer(t, { kind: 'vllm', base: model, model: await teacherOf(t, 0) })
  server.fail = count => (count === 1 ? 503 : undefined)
  t.true((await train(atServer(server.address, 'vllm', { training: { steps: 1 } }))).finished)
  server.fail = () => 503
  const error = await t.throwsAsync(train(atServer(server.address, 'vllm')), { instanceOf: ServerError })
  t.regex(error!.message, /http:\/\/127\.0\.0\.1:\d+\/v1\/completions answered 503 \(2 tries\)/)
})

test('a silent server ends a run by its timeout or by its signal', async t => {
  const server = await engineServer(t, { kind: 'vllm', base: model, model: await teacherOf(t, 0) })
  server.fail = () => 'silence'
  const requests = { retries: 0, timeoutSeconds: 0.2 }
  const error = await t.throwsAsync(
    train(atServer(server.address, 'vllm', { sampling: { server: { requests } } as never })),
    { instanceOf: ServerError },
  )
  t.regex(error!.message, /408: no answer within 0\.2 s \(sampling\.server\.requests\.timeoutSeconds\)/)
  const stopped = await train(atServer(server.address, 'vllm'), { signal: AbortSignal.timeout(1500) })
  t.false(stopped.finished)
})

test('updates that a server does not know of are refused', async t => {
  const refused = (kind: string, update: string) =>
    t.throwsAsync(
      train(
        atServer('http://127.0.0.1:9/v1', kind, {
          sampling: { server: { update: { kind: update } } } as never,
        }),
      ),
      { instanceOf: ConfigurationError, message: /sampling\.server\.update\.kind/ },
    )
  await refused('llama-server', 'sglang')
  await refused('vllm', 'vllm-lora')
  await t.throwsAsync(train(atServer('http://127.0.0.1:9/v1', 'openai', { sampling: { topK: 5 } })), {
    instanceOf: ConfigurationError,
    message: /sampling\.topK/,
  })
})

test('with a server that is updated after every step, the reward rises', async t => {
  const server = await engineServer(t, { kind: 'sglang', base: model, model: await teacherOf(t, 0) })
  const file = join(folder, 'say-seven.jsonl')
  const rows = [0, 1, 2, 3].map(i => ({ question: `say ${i}`, solution: 'as you like', answer: '7' }))
  await writeFile(file, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  const changes: DeepPartial<TrainConfigInput> = {
    format: {
      ...{ style: 'solve', teacherSystem: '', teacherUser: '{question}', teacherAssistant: '' },
      endOfExplanation: 'endOfTurn',
    },
    reward: {
      missingEnd: 0,
      understanding: { coefficient: 0 },
      naturalness: { coefficient: 0 },
      terms: [{ module: 'correctness' }],
    },
    algorithm: { beta: 0 },
    reference: { kind: 'none' },
    sampling: {
      ...{ completions: 32, maxNewTokens: 12, temperature: 1 },
      server: { update: { kind: 'sglang' } } as never,
    },
    optimizer: { learningRate: 1e-2 },
    training: { steps: 25, promptsPerStep: 4, saveEvery: 0 },
  }
  const { data: _, students: __, ...config } = atServer(server.address, 'sglang', changes)
  const run = await train({ ...config, data: { train: { path: file, columns: { answer: 'answer' } } } })
  const rewards = (await metricsOf(run.folder)).map(({ reward }) => reward as number)
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [before, after] = [mean(rewards.slice(0, 5)), mean(rewards.slice(-5))]
  // 640 completions each: standard errors below 0.02.
  t.true(after > before + 0.2, `${before} to ${after}`)
})

test('a resumed run asks for its step again, with the same seeds, of a server that has its weights', async t => {
  const seedsOf = async (isStopped: boolean) => {
    const server = await engineServer(t, { kind: 'sglang', base: model, model: await teacherOf(t, 0.3) })
    const config = atServer(server.address, 'sglang', {
      sampling: { server: { update: { kind: 'sglang' } } } as never,
      training: { steps: 3, saveEvery: 1 },
    })
    if (isStopped) {
      const stop = new AbortController()
      // In the middle of the second step: 8 samples of the first and two updates were asked for before.
      server.fail = count => {
        if (count === 13) stop.abort()
        return undefined
      }
      t.false((await train(config, { signal: stop.signal })).finished)
      server.fail = undefined
      server.asked.length = 0
    }
    const { folder } = await train(config, { resume: isStopped })
    const seeds = server.asked.flatMap(({ body }) => body.sampling_params?.sampling_seed ?? [])
    return { seeds: seeds.slice(-16), rewards: (await metricsOf(folder)).map(({ reward }) => reward) }
  }
  const [whole, resumed] = [await seedsOf(false), await seedsOf(true)]
  t.deepEqual(resumed.seeds.slice().sort(), whole.seeds.slice().sort())
  // Which samples share a batch at the server may move a last bit; fp32 rewards agree to 1e-4.
  for (const [i, reward] of whole.rewards.entries())
    t.true(Math.abs((resumed.rewards[i] as number) - (reward as number)) < 1e-4)
})
