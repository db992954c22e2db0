/**
 * Combinations of options that cannot work, each of which is in range by itself.
 * They are refused before anything is loaded: a run that fails after an hour for a reason known at its start is
 * the worst kind of error.
 */
import { formatPlaceholders } from './formats.js'
import type { Path, Problem } from './problem.js'
import type { FormatConfig, RewardConfig, TrainConfig } from './schema.js'
import { nearest } from './suggest.js'

export type Complain = (path: Path, message: string) => void

export function impossibleCombinations(config: TrainConfig): Problem[] {
  const problems: Problem[] = []
  const complain: Complain = (path, message) => problems.push({ path, message })
  checkAdapters(config.teacher.lora, ['teacher', 'lora'], complain)
  for (const rule of [
    groups,
    losses,
    referencePolicy,
    steps,
    checkReward,
    checkStudents,
    checkSplits,
    checkFormat,
    samplingServer,
  ])
    rule(config, complain)
  return problems
}

export function checkAdapters(lora: TrainConfig['teacher']['lora'], at: Path, complain: Complain) {
  const twice = lora?.targets.find((target, i, targets) => targets.indexOf(target) !== i)
  if (twice !== undefined) complain([...at, 'targets'], `${twice} is listed twice; expected each target once`)
}

function groups({ sampling, algorithm, training }: TrainConfig, complain: Complain) {
  if (algorithm.loss === 'reinforce++') {
    if (sampling.completions * training.promptsPerStep < 2)
      complain(
        ['training', 'promptsPerStep'],
        'an advantage compares the completions of one step, so a step needs at least 2; expected 2 or more',
      )
  } else if (sampling.completions < 2)
    complain(
      ['sampling', 'completions'],
      'an advantage compares the completions of one group, so a group needs at least 2; expected 2 or more',
    )
  if (training.promptsPerStep % algorithm.minibatches !== 0)
    complain(
      ['algorithm', 'minibatches'],
      `training.promptsPerStep (${training.promptsPerStep}) cannot be split into ${algorithm.minibatches} equal ` +
        `minibatches; expected a divisor of it`,
    )
}

function losses({ algorithm }: TrainConfig, complain: Complain) {
  if (algorithm.loss === 'rloo' && algorithm.scaleAdvantages)
    complain(
      ['algorithm', 'scaleAdvantages'],
      'the leave-one-out advantages of rloo are not divided by anything; expected false, or another algorithm.loss',
    )
  if (algorithm.loss === 'reinforce++' && algorithm.dynamicSamplingRounds > 0)
    complain(
      ['algorithm', 'dynamicSamplingRounds'],
      'reinforce++ compares all completions of a step, so a question whose completions all have the same reward teaches ' +
        'too; expected 0, or another algorithm.loss',
    )
}

function referencePolicy({ reference, algorithm }: TrainConfig, complain: Complain) {
  if (reference.kind === 'none' && algorithm.beta > 0)
    complain(
      ['reference', 'kind'],
      `algorithm.beta is ${algorithm.beta}, a weight of the divergence from a reference, but there is none; ` +
        'expected frozen or blended, or algorithm.beta: 0',
    )
  if (reference.kind === 'blended' && algorithm.beta === 0)
    complain(
      ['reference', 'kind'],
      'algorithm.beta is 0, so the blended reference would be kept and never used; expected none, or a beta above 0',
    )
}

function samplingServer({ sampling, teacher }: TrainConfig, complain: Complain) {
  const { server } = sampling
  if (server?.kind === 'openai')
    for (const option of ['topK', 'minP'] as const)
      if (sampling[option] > 0)
        complain(
          ['sampling', option],
          'not every server that sampling.server.kind openai stands for knows this; expected 0, or another kind',
        )
  if (server === null || server.update.kind === 'none') return
  const at = ['sampling', 'server', 'update', 'kind']
  const kind = server.update.kind === 'sglang' ? 'sglang' : 'vllm'
  if (server.kind !== kind)
    complain(
      at,
      `sampling.server.kind is ${server.kind}, which has no such endpoint; expected none, or ${kind}`,
    )
  if (server.update.kind === 'vllm-lora' && teacher.lora === null)
    complain(at, 'all weights are trained, so there is no adapter to load; expected none, or teacher.lora')
}

function steps({ optimizer, training }: TrainConfig, complain: Complain) {
  if (optimizer.warmupSteps > training.steps)
    complain(
      ['optimizer', 'warmupSteps'],
      `the warm-up is longer than the whole run (training.steps is ${training.steps}); expected at most ${training.steps}`,
    )
}

export function checkReward({ reward }: { reward: RewardConfig }, complain: Complain) {
  if (!studentsJudge(reward) && !reward.terms.some(term => term.weight !== 0))
    complain(['reward'], 'every part has weight 0, so all rewards would be equal and tell nothing')
}

/** Whether understanding or naturalness counts. */
function studentsJudge({ understanding, naturalness }: RewardConfig): boolean {
  return [understanding, naturalness].some(
    part =>
      part.coefficient !== 0 &&
      [part.mean, part.sum, part.min, part.max, part.median, part.firstQuartile, part.lastQuartile].some(
        weight => weight !== 0,
      ),
  )
}

function checkStudents({ students, reward }: TrainConfig, complain: Complain) {
  if (students.length === 0 && studentsJudge(reward))
    complain(
      ['students'],
      'understanding and naturalness are judged by students, and there are none; expected at least one, or ' +
        'reward.understanding.coefficient: 0 and reward.naturalness.coefficient: 0',
    )
}

export function checkSource(
  { path, hub }: { path?: string | undefined; hub?: string | undefined },
  at: Path,
  complain: Complain,
) {
  if ([path, hub].filter(Boolean).length !== 1)
    complain(at, `expected one of path and hub, got ${path ? 'both' : 'neither'}`)
}

/** What decides which rows are trained on and which are held out. */
interface Split {
  data: {
    train: SourceRows
    heldOut: (SourceRows & { rows?: number | undefined }) | null
  }
  training: { evaluateEvery: number }
}
type SourceRows = Pick<TrainConfig['data']['train'], 'path' | 'hub' | 'split' | 'config' | 'skip' | 'limit'>

export function checkSplits(config: Split, complain: Complain) {
  sources(config, complain)
  heldOutRows(config, complain)
}

function sources({ data }: Split, complain: Complain) {
  checkSource(data.train, ['data', 'train'], complain)
  if (!data.heldOut) return
  const named = (['rows', 'path', 'hub'] as const).filter(key => data.heldOut?.[key] !== undefined)
  if (named.length !== 1)
    complain(
      ['data', 'heldOut'],
      `expected one of rows, path and hub, got ${named.length ? named.join(' and ') : 'none'}`,
    )
}

function heldOutRows({ data, training }: Split, complain: Complain) {
  const { train, heldOut } = data
  if (!heldOut) {
    if (training.evaluateEvery > 0)
      complain(
        ['training', 'evaluateEvery'],
        'there is nothing to evaluate on; expected 0, or data.heldOut to name rows (for example {rows: 64})',
      )
    return
  }
  if (heldOut.rows !== undefined) {
    if (train.limit !== null && heldOut.rows >= train.limit)
      complain(['data', 'heldOut', 'rows'], `no row is left to train on: data.train.limit is ${train.limit}`)
    return
  }
  const same =
    heldOut.path === train.path &&
    heldOut.hub === train.hub &&
    heldOut.split === train.split &&
    heldOut.config === train.config
  const end = (source: { skip: number; limit: number | null }) =>
    source.skip + (source.limit ?? Number.POSITIVE_INFINITY)
  if (same && heldOut.skip < end(train) && train.skip < end(heldOut))
    complain(
      ['data', 'heldOut'],
      'these rows are trained on too, so they would not be held out; expected another file or split, rows apart by ' +
        'skip and limit, or {rows: N}',
    )
}

/** @param reward undefined where nothing is rewarded */
export function checkFormat(
  { format, reward }: { format: FormatConfig; reward?: RewardConfig },
  complain: Complain,
) {
  const texts = ['teacherUser', 'teacherAssistant', 'studentUser', 'studentAssistant'] as const
  const occurrences = (text: string, placeholder: string) => text.split(`{${placeholder}}`).length - 1
  for (const key of texts)
    for (const [, word] of format[key].matchAll(/\{([A-Za-z_]{4,})\}/g)) {
      const meant = nearest(word!, formatPlaceholders)
      if (meant !== undefined && meant !== word)
        complain(['format', key], `{${word}} is not replaced by anything; did you mean {${meant}}?`)
    }

  const teacher = format.teacherUser + format.teacherAssistant
  // Who is rewarded for something else than explaining may have to find the solution.
  const mayHideSolution = reward === undefined || !studentsJudge(reward)
  for (const placeholder of ['question', 'solution'])
    if (
      occurrences(teacher, placeholder) !== 1 &&
      !(placeholder === 'solution' && mayHideSolution && occurrences(teacher, placeholder) === 0)
    )
      complain(
        ['format', occurrences(format.teacherAssistant, placeholder) ? 'teacherAssistant' : 'teacherUser'],
        `the teacher must be shown the ${placeholder} once; expected {${placeholder}} once in teacherUser and ` +
          `teacherAssistant together, got it ${occurrences(teacher, placeholder)} times`,
      )
  if (occurrences(teacher, 'explanation') > 0)
    complain(
      ['format', occurrences(format.teacherUser, 'explanation') ? 'teacherUser' : 'teacherAssistant'],
      'the teacher writes the explanation, so {explanation} cannot be in its prompt',
    )

  if (occurrences(format.studentUser, 'question') !== 1)
    complain(['format', 'studentUser'], 'the student must be asked the question; expected {question} once')
  for (const placeholder of ['solution', 'explanation'])
    if (occurrences(format.studentUser, placeholder) > 0)
      complain(
        ['format', 'studentUser'],
        `the student's log-probabilities of the ${placeholder} are the reward, so {${placeholder}} belongs in studentAssistant`,
      )
  const explanation = format.studentAssistant.indexOf('{explanation}')
  const solution = format.studentAssistant.indexOf('{solution}')
  const once = ['explanation', 'solution'].every(word => occurrences(format.studentAssistant, word) === 1)
  if (!once || explanation > solution)
    complain(['format', 'studentAssistant'], 'expected {explanation} once and after it {solution} once')
  if (occurrences(format.studentAssistant, 'question') > 0)
    complain(['format', 'studentAssistant'], 'the question belongs in studentUser')
}
