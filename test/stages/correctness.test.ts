/** Reinforcement learning of a student itself: no solution is shown, and what is rewarded is the right answer. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import type { TrainConfigInput } from '../../lib/config/index.js'
import { ConfigurationError } from '../../lib/errors.js'
import { gradeAnswer } from '../../lib/grading/index.js'
import { train } from '../../lib/stages/train.js'
import { type DeepPartial, folder, readRows, tinyConfig } from './tiny-run.js'

const file = join(folder, 'one-answer.jsonl')
await writeFile(
  file,
  Array.from(
    { length: 4 },
    (_, i) => `${JSON.stringify({ question: `say ${i}`, solution: 'as you like', answer: '7' })}\n`,
  ).join(''),
)

const config = (changes: DeepPartial<TrainConfigInput> = {}) => {
  const { data, students, ...base } = tinyConfig({
    format: {
      style: 'solve',
      teacherSystem: '',
      teacherUser: '{question}',
      teacherAssistant: '',
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
    ...changes,
  })
  return { ...base, data: { train: { path: file, columns: { answer: 'answer' } } } }
}

test('the reward of each completion is what the grader says, without a student', async t => {
  const run = config({ sampling: { completions: 16 } })
  await train(run)
  const completions = (
    await Promise.all([1, 2, 3, 4].map(step => completionsOf(run.output!.folder!, step)))
  ).flat()
  t.true(completions.some(({ ended }) => ended))
  for (const { ended, explanation, reward, parts } of completions) {
    const right = ended && gradeAnswer(explanation as string, '7').correct
    t.is(reward, right ? 1 : 0)
    t.deepEqual(parts, ended ? { correctness: right ? 1 : 0 } : {})
  }
})

test('GRPO with correctness learns to give the right answer', async t => {
  const run = config({
    sampling: { completions: 64, maxNewTokens: 12, temperature: 1 },
    optimizer: { learningRate: 5e-3 },
    training: { steps: 40, promptsPerStep: 4, saveEvery: 0 },
  })
  await train(run)
  const rewards = (await readRows(join(run.output!.folder!, 'metrics.jsonl'))).map(
    ({ reward }) => reward as number,
  )
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [before, after] = [mean(rewards.slice(0, 5)), mean(rewards.slice(-5))]
  // 1,280 completions each: standard errors below 0.015.
  t.true(after > before + 0.2, `${before} to ${after}`)
})

test('without a student, understanding and naturalness are refused; with them, so is a hidden solution', async t => {
  const refused = (changes: DeepPartial<TrainConfigInput>, message: RegExp) =>
    t.throwsAsync(train(config(changes)), { instanceOf: ConfigurationError, message })
  await refused(
    { reward: { terms: [], understanding: { coefficient: 1 }, naturalness: { coefficient: 0 } } },
    /students: .*there are none/,
  )
  await t.throwsAsync(train(tinyConfig({ format: { style: 'solve' } })), {
    instanceOf: ConfigurationError,
    message: /the teacher must be shown the solution once/,
  })
})

async function completionsOf(run: string, step: number) {
  return readRows(join(run, 'completions', `step-${String(step).padStart(6, '0')}.jsonl`))
}
