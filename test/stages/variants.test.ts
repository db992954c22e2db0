/** Whole runs with each of algorithm.loss, with dynamic sampling and with importance sampling. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { lossNames } from '../../lib/config/losses.js'
import { train } from '../../lib/stages/train.js'
import { folder, readRows, results, tinyConfig } from './tiny-run.js'

const metricsOf = async (run: string) => readRows(join(run, 'metrics.jsonl'))

for (const loss of lossNames)
  test(`${loss}: a run of several updates a step ends with finite figures`, async t => {
    const { folder: run, finished } = await train(
      tinyConfig({
        algorithm: { loss, epochs: 2, minibatches: 2, dynamicSamplingRounds: 0 },
        training: { steps: 2 },
      }),
    )
    t.true(finished)
    for (const row of await metricsOf(run)) {
      for (const key of ['loss', 'grad_norm', 'kl_ref', 'entropy', 'clip_fraction'])
        t.true(Number.isFinite(row[key]), `${key} of step ${row.step} is ${row[key]}`)
      // Of 46 tokens that are nearly equally likely at first.
      t.true((row.entropy as number) > 1 && (row.entropy as number) < Math.log(46), `${row.entropy}`)
      t.is(row.skipped_updates, 0)
      t.true((row.grad_norm as number) > 0)
    }
  })

/** Two tokens are too few to end in: nearly all explanations get the same reward. */
const uniform = (dynamicSamplingRounds: number) =>
  tinyConfig({
    algorithm: { loss: 'dapo', dynamicSamplingRounds },
    sampling: { completions: 4, maxNewTokens: 2 },
    training: { steps: 4 },
  })

test('questions that teach nothing are replaced, so many rounds and no more', async t => {
  const rounds = 3
  const [plain, dynamic] = [await train(uniform(0)), await train(uniform(rounds))]
  const before = await metricsOf(plain.folder)
  const after = await metricsOf(dynamic.folder)
  t.false('replaced_groups' in before[0]!)
  t.is(before[0]!.zero_variance_groups, 2) // otherwise this run is none to learn from
  for (const row of after) {
    const [replaced, left] = [row.replaced_groups as number, row.zero_variance_groups as number]
    t.true(replaced <= 2 * rounds, `${replaced}`)
    // What is left has been through every round.
    if (left > 0) t.true(replaced >= left * rounds, `${replaced} were replaced, ${left} are left`)
    // Groups that were replaced count in what was sampled: 2 questions of 4 completions of at most 2 tokens.
    const groups = 2 + replaced
    t.true((row.completion_tokens as number) > 4 * groups && (row.completion_tokens as number) <= 8 * groups)
  }
  t.true(after.some(row => row.replaced_groups === 2 * rounds))
})

test('what dynamic sampling takes in is the same in a run that was stopped', async t => {
  const whole = await train(uniform(2))
  const config = uniform(2)
  const controller = new AbortController()
  const stopped = await train(config, {
    signal: controller.signal,
    onStep: row => row.step === 2 && controller.abort(),
  })
  t.is(stopped.step, 2)
  t.deepEqual(await results((await train(config, { resume: true })).folder), await results(whole.folder))
})

test('samples of this very engine need no correction: their weights are 1', async t => {
  const { folder: run } = await train(
    tinyConfig({ algorithm: { importanceSampling: { correct: 'truncated' } }, training: { steps: 1 } }),
  )
  const { folder: plain } = await train(tinyConfig({ training: { steps: 1 } }))
  const [[row], [uncorrected]] = [await metricsOf(run), await metricsOf(plain)]
  // fp32, the same weights and another order of additions: log-probabilities differ by less than 1e-5.
  t.true(Math.abs((row!.importance_weight_mean as number) - 1) < 1e-5)
  t.is(row!.importance_weights_capped, 0)
  t.is(row!.ratio_mean, 1)
  t.true(Math.abs((row!.grad_norm as number) / (uncorrected!.grad_norm as number) - 1) < 1e-4)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
