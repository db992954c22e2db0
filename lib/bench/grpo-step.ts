/**
 * One GRPO step with the teacher reward through the public engine: the work of bench/peers/trl_step.py.
 *
 * The reference and the student are one frozen copy of the teacher's initial weights, as in `rlt train`. The teacher's
 * log-probabilities in the reward are those that the sampler recorded.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AdamW, type Model, type SampledGroup } from '../engine/index.js'
import { EngineError } from '../errors.js'
import type { Tokenizer } from '../models/index.js'
import { packageRoot } from '../packageRoot.js'
import { groupAdvantages, teacherReward } from '../rewards/index.js'
import { timed } from './timed.js'
import type { StepWorkload } from './workloads.js'

export interface Row {
  question: string
  solution: string
}

export interface StepTimes {
  seconds: number
  phases: { sample: number; score: number; train: number }
  /** Of all prompts, each counted once a completion. */
  promptTokens: number
  /** Of everything that the student reads, prompts counted once a completion. */
  studentTokens: number
  completionTokens: number
  /** What has to be computed of those: each prompt once. */
  computedTokens: { prompts: number; teacher: number; student: number }
  meanReward: number
}

/** @param frozen the teacher as it was before */
export async function grpoStep(
  teacher: Model,
  frozen: Model,
  rows: readonly Row[],
  work: StepWorkload,
  signal?: AbortSignal,
): Promise<StepTimes> {
  const prefixes = rows.map(row => chatTokens(work.teacherUser, row, teacher.tokenizer))
  const sampling = await timed(() => sample(teacher, prefixes, work, signal))
  const scoring = await timed(() => score(frozen, sampling.result, rows, work, signal))
  const training = await timed(() =>
    update(teacher, frozen, sampling.result, scoring.result.rewards, work, signal),
  )
  const rewards = scoring.result.rewards.flat()
  const promptTokens = prefixes.reduce((sum, prefix) => sum + prefix.length, 0)
  const completionTokens = sampling.result
    .flatMap(group => group.suffixes)
    .reduce((sum, suffix) => sum + suffix.length, 0)
  return {
    seconds: sampling.seconds + scoring.seconds + training.seconds,
    phases: { sample: sampling.seconds, score: scoring.seconds, train: training.seconds },
    promptTokens: work.completions * promptTokens,
    studentTokens: scoring.result.studentTokens,
    completionTokens,
    computedTokens: {
      prompts: promptTokens,
      teacher: promptTokens + completionTokens,
      student: scoring.result.computedTokens,
    },
    meanReward: rewards.reduce((a, b) => a + b, 0) / rewards.length,
  }
}

/** The first rows of question and solution. */
export async function readRows({ data, prompts }: StepWorkload): Promise<Row[]> {
  const text = await readFile(join(packageRoot(), data), 'utf8')
  return text.split('\n', prompts).map(line => JSON.parse(line) as Row)
}

function sample(
  teacher: Model,
  prefixes: readonly Int32Array[],
  { completions, tokens, temperature }: StepWorkload,
  signal: AbortSignal | undefined,
): Promise<SampledGroup[]> {
  return teacher.sample(
    prefixes.map(prefix => ({ prefix, samples: completions })),
    { maxNewTokens: tokens, temperature, stop: [], signal },
  )
}

/** The reward of each completion, all of which is the explanation: `[group][completion]`. */
async function score(
  frozen: Model,
  groups: readonly SampledGroup[],
  rows: readonly Row[],
  { temperature, beforeSolution, studentUser }: StepWorkload,
  signal: AbortSignal | undefined,
) {
  const { tokenizer } = frozen
  const views = groups.map((group, g) => {
    const between = tokenizer.encode(beforeSolution)
    const solution = tokenizer.encode(rows[g]!.solution)
    return {
      prefix: chatTokens(studentUser, rows[g]!, tokenizer),
      suffixes: group.suffixes.map(explanation => Int32Array.of(...explanation, ...between, ...solution)),
      solutionLength: solution.length,
    }
  })
  const judged = await frozen.logProbs(views, { temperature, signal })
  const rewards = groups.map((group, g) =>
    group.logProbs.map((teacherLogProbs, c) => {
      const own = judged[g]![c]!
      return teacherReward({
        solutionLogProbs: own.subarray(own.length - views[g]!.solutionLength),
        explanationLogProbs: own.subarray(0, teacherLogProbs.length),
        teacherLogProbs,
      }).reward
    }),
  )
  const total = (of: (view: (typeof views)[number]) => number) =>
    views.reduce((sum, view) => sum + of(view), 0)
  const suffixTokens = total(({ suffixes }) => suffixes.reduce((sum, { length }) => sum + length, 0))
  return {
    rewards,
    studentTokens: suffixTokens + total(({ prefix, suffixes }) => prefix.length * suffixes.length),
    computedTokens: suffixTokens + total(({ prefix }) => prefix.length),
  }
}

/** The reference's log-probabilities, the gradients of the loss, and AdamW. */
async function update(
  teacher: Model,
  frozen: Model,
  groups: readonly SampledGroup[],
  rewards: readonly number[][],
  work: StepWorkload,
  signal: AbortSignal | undefined,
) {
  const { temperature, beta, clip, learningRate, maxGradNorm, moments } = work
  const referenceLogProbs = await frozen.logProbs(groups, { temperature, signal })
  const each = 1 / (work.prompts * work.completions)
  await teacher.backward(
    groups,
    {
      kind: 'grpo',
      ...{ beta, clipLow: clip, clipHigh: clip, referenceLogProbs },
      advantages: rewards.map(ofGroup => groupAdvantages(ofGroup).advantages),
      weights: groups.map(group =>
        group.suffixes.map(({ length }) => new Float32Array(length).fill(each / length)),
      ),
    },
    { temperature, signal },
  )
  const optimizer = new AdamW(teacher, { moments })
  const { skipped } = await optimizer.step({ learningRate, maxGradNorm })
  optimizer.dispose()
  if (skipped)
    throw new EngineError(
      'ERR_NUMERICS',
      'A gradient was not finite, so the step was not taken: its time means nothing.',
    )
}

function chatTokens(template: string, { question, solution }: Row, tokenizer: Tokenizer): Int32Array {
  const content = template.replace('{question}', () => question).replace('{solution}', () => solution)
  return tokenizer.encode(tokenizer.renderChat([{ role: 'user', content }], { addGenerationPrompt: true }))
}
