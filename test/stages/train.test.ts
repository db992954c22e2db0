import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { Model } from '../../lib/engine/index.js'
import type { TrainEvent } from '../../lib/report/index.js'
import { teacherReward } from '../../lib/rewards/index.js'
import { train } from '../../lib/stages/train.js'
import { folder, model, readRows, tinyConfig } from './tiny-run.js'

const documented = [
  ...['step', 'reward', 'reward/understanding', 'reward/naturalness', 'kl_ref', 'sampler_trainer_gap'],
  ...['completion_tokens', 'lr', 'grad_norm', 'seconds', 'seconds/sample', 'seconds/score', 'seconds/train'],
  ...['tokens_per_second', 'peak_memory_bytes', 'peak_cache_bytes', 'preemptions'],
]

test('a run leaves metrics, explanations, measurements and a teacher that can be loaded', async t => {
  const seen: number[] = []
  const events: TrainEvent[] = []
  const config = tinyConfig({ training: { heldOutCompletions: 16 } }) // enough that some end, and differ
  const result = await train(config, {
    onStep: row => seen.push(row.step),
    onEvent: event => events.push(event),
  })
  t.deepEqual(result, {
    folder: config.output!.folder!,
    checkpoint: join(config.output!.folder!, 'checkpoints', 'step-4'),
    step: 4,
    finished: true,
  })
  t.deepEqual(seen, [1, 2, 3, 4])

  const metrics = await readRows(join(result.folder, 'metrics.jsonl'))
  t.deepEqual(
    metrics.map(row => row.step),
    [1, 2, 3, 4],
  )
  for (const row of metrics)
    for (const key of [...documented, 'zero_variance_groups', 'missing_end_fraction'])
      t.true(Number.isFinite(row[key]), `${key} of step ${row.step} is ${row[key]}`)

  const evaluation = await readRows(join(result.folder, 'evaluation.jsonl'))
  t.deepEqual(
    evaluation.map(row => row.step),
    [0, 4],
  )
  for (const row of evaluation) t.true((row['held_out/reward_standard_error'] as number) > 0)

  t.is((await readdir(join(result.folder, 'completions'))).length, 4)
  const completions = await readRows(join(result.folder, 'completions', 'step-000001.jsonl'))
  t.is(completions.length, 8)

  const teacher = await Model.load(result.checkpoint!, { dtype: 'float32', device: 'cpu' })
  t.is(teacher.tokenizer.decode(teacher.tokenizer.encode('what is 1 + 2?')), 'what is 1 + 2?')
  teacher.dispose()

  const phases = new Set(events.flatMap(event => (event.type === 'phase' ? [event.phase] : [])))
  t.deepEqual([...phases].sort(), ['evaluate', 'load', 'sample', 'save', 'score', 'train'])
  const saved = events.flatMap(event => (event.type === 'checkpoint' ? [event.step] : []))
  t.deepEqual(saved, [2, 4])
})

test('the first step is on-policy: no divergence, ratio 1, nothing clipped', async t => {
  const { folder: run } = await train(tinyConfig({ training: { steps: 1 } }))
  const [row] = await readRows(join(run, 'metrics.jsonl'))
  // Reference and teacher have the same weights: k3 of rounding errors of 1e-6 is 1e-12.
  t.true(Math.abs(row!.kl_ref as number) < 1e-9, `${row!.kl_ref}`)
  t.is(row!.ratio_mean, 1)
  t.is(row!.clip_fraction, 0)
  t.true((row!.grad_norm as number) > 0)
})

test('with little memory for keys and values the same is sampled, piece by piece', async t => {
  const sampled = async (sampling: { cacheBytes?: number; prefillTokens?: number }) => {
    const config = tinyConfig({ training: { steps: 1 }, sampling: { maxNewTokens: 100, ...sampling } })
    const { folder: run } = await train(config)
    const [row] = await readRows(join(run, 'metrics.jsonl'))
    const completions = await readRows(join(run, 'completions', 'step-000001.jsonl'))
    return { cache: row!.peak_cache_bytes as number, texts: completions.map(row => row.explanation) }
  }
  const ample = await sampled({})
  const cacheBytes = Math.floor(ample.cache / 2)
  const scarce = await sampled({ cacheBytes, prefillTokens: 10 })
  t.true(scarce.cache <= cacheBytes)
  t.deepEqual(scarce.texts, ample.texts)
})

test('sampler and trainer agree', async t => {
  const { folder: run } = await train(tinyConfig({ optimizer: { learningRate: 0.01 } }))
  // float32 and the same weights: only the order of additions differs. The project's bound is 1e-3.
  for (const row of await readRows(join(run, 'metrics.jsonl')))
    t.true((row.sampler_trainer_gap as number) < 1e-5, `${row.sampler_trainer_gap}`)
})

test('the reward is the formula on what the models say of the whole text', async t => {
  const config = tinyConfig({ training: { steps: 1 }, data: { shuffle: false } })
  const { folder: run } = await train(config)
  const completions = await readRows(join(run, 'completions', 'step-000001.jsonl'))
  const ended = completions.filter(row => row.ended)
  t.true(ended.length > 0 && ended.length < completions.length, 'this seed has explanations of both kinds')
  const judge = await Model.load(model, { dtype: 'float32', device: 'cpu' })
  const { tokenizer } = judge
  const turn = (role: string, content: string) => `<|im_start|>${role}\n${content}<|im_end|>\n`
  const logProbsAfter = async (before: string, text: string) => {
    // Unlike the run: one sequence at a time, and nothing is shared.
    const group = { prefix: tokenizer.encode(before), suffixes: [tokenizer.encode(text)] }
    return (await judge.logProbs([group], { temperature: 0.7 }))[0]![0]!
  }
  for (const row of completions) {
    if (!row.ended) {
      t.is(row.reward, -8)
      continue
    }
    const { question, explanation } = row as { question: string; explanation: string }
    const [a, b] = [...question.matchAll(/\d+/g)].map(Number) as [number, number]
    const solution = `${a} + ${b} = ${a + b}.`
    const asked =
      `Question: ${question}\n\nSolution: ${solution}\n\n` +
      'In one or two short sentences, explain how to get from the question to this solution.'
    const studentAsked =
      `Question: ${question}\n\n` +
      'In one or two short sentences, explain how to get to the solution. Then give the solution.'
    const student = `${turn('user', studentAsked)}<|im_start|>assistant\n`
    const { reward, parts } = teacherReward({
      solutionLogProbs: await logProbsAfter(`${student}${explanation}\n\n`, solution),
      explanationLogProbs: await logProbsAfter(student, explanation),
      teacherLogProbs: await logProbsAfter(`${turn('user', asked)}<|im_start|>assistant\n`, explanation),
    })
    // Log-probabilities in float32 differ by 1e-6 with the order of additions; 3 times their mean is in the reward.
    t.true(Math.abs((row.reward as number) - reward) < 1e-4, `${row.reward} ${reward}`)
    t.true(Math.abs((row.parts as typeof parts).naturalness - parts.naturalness) < 1e-4)
  }
  judge.dispose()
})

test('a teacher learns what is rewarded', async t => {
  const module = join(folder, 'letters.ts')
  await writeFile(
    module,
    `export function reward({ explanation }: { explanation: string }, options: { letter: string }): number {
       return explanation.split(options.letter).length - 1 - 0.1 * explanation.length
     }`,
  )
  const { folder: run } = await train(
    tinyConfig({
      reward: {
        missingEnd: -6,
        understanding: { coefficient: 0 },
        naturalness: { coefficient: 0 },
        terms: [{ module, options: { letter: 'e' } }],
      },
      algorithm: { beta: 0 },
      reference: { kind: 'none' },
      sampling: { completions: 8, temperature: 1 },
      optimizer: { learningRate: 0.01 },
      training: { steps: 20, promptsPerStep: 4, saveEvery: 0, heldOutCompletions: 16 },
    }),
  )
  const [before, after] = await readRows(join(run, 'evaluation.jsonl'))
  const gain = (after!['held_out/reward'] as number) - (before!['held_out/reward'] as number)
  t.true(gain > 1, `the held-out reward rose by ${gain}`)
})

test('two runs of one seed are the same, and another seed is another run', async t => {
  const rewards = async (seed: number) => {
    const { folder: run } = await train(tinyConfig({ training: { steps: 2, seed } }))
    return (await readRows(join(run, 'metrics.jsonl'))).map(row => row.reward)
  }
  const first = await rewards(3)
  t.deepEqual(await rewards(3), first)
  t.notDeepEqual(await rewards(4), first)
})

test('minibatches and passes: as many updates, and ratios move from 1', async t => {
  const { folder: run } = await train(
    tinyConfig({
      training: { steps: 1 },
      algorithm: { epochs: 2, minibatches: 2 },
      optimizer: { learningRate: 0.02 },
    }),
  )
  const [row] = await readRows(join(run, 'metrics.jsonl'))
  t.not(row!.ratio_mean, 1)
  t.true((row!.sampler_trainer_gap as number) < 1e-5)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
