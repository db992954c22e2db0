import { mkdtemp, realpath, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import {
  formatConfig,
  loadConfig,
  parseConfig,
  presetNames,
  type TrainConfig,
  trainKind,
} from '../../lib/config/index.js'
import { ConfigurationError, UsageError } from '../../lib/errors.js'

const minimal = `teacher: {model: t}
students: [{model: s}]
data: {train: {path: data.jsonl}}
`

async function file(text: string, name = 'run.yaml'): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'rlt-config-')))
  await writeFile(join(folder, name), text)
  return join(folder, name)
}

const load = async (text: string, sets: string[] = []): Promise<TrainConfig> =>
  (await loadConfig(trainKind, await file(text), sets)).config

/** The lines of the message, without the shown source lines. */
async function complaints(t: ExecutionContext, text: string, sets: string[] = []): Promise<string[]> {
  const path = await file(text)
  const error = await t.throwsAsync(loadConfig(trainKind, path, sets), { instanceOf: ConfigurationError })
  const lines = error.message.split('\n').slice(1)
  return lines.filter(line => !/^ +(\d+ )?\|/.test(line)).map(line => line.replace(path, 'run.yaml'))
}

test('a minimal configuration gets every default', async t => {
  const config = await load(minimal)
  t.is(config.sampling.completions, 64)
  t.is(config.algorithm.beta, 0.04)
  t.is(config.reward.understanding.min, 0.01)
  t.is(config.reward.naturalness.max, 0.03)
  t.deepEqual(config.optimizer.betas, [0.9, 0.999])
  t.is(config.format.style, 'tags')
  t.true(config.format.teacherAssistant.endsWith('<|begin_of_explanation|>\n\n'))
})

test('every preset is valid', async t => {
  const names = await presetNames(trainKind)
  t.deepEqual(names, ['paper-7b', 'quickstart'])
  for (const name of names) await t.notThrowsAsync(loadConfig(trainKind, name))
})

test('paper-7b is the recipe of arXiv 2506.08388', async t => {
  const { config } = await loadConfig(trainKind, 'paper-7b')
  t.is(config.sampling.completions * config.training.promptsPerStep, 1024)
  t.like(config, {
    sampling: { completions: 64, temperature: 0.7, topP: 1, topK: 0, maxNewTokens: 16384 },
    reference: { kind: 'blended', every: 32, blend: 0.9 },
    algorithm: { beta: 0.04, epochs: 1, minibatches: 1 },
    optimizer: { learningRate: 1e-6, schedule: 'constant' },
    training: { steps: 125 },
    reward: { temperature: 0.7, missingEnd: -1 },
  })
  // The public code has kl_penalty_reward_coeff [3, 0.03] for the mean and the maximum.
  const { coefficient, mean, max } = config.reward.naturalness
  t.deepEqual([coefficient * mean, coefficient * max], [3, 0.03])
})

test('quickstart reads the shipped data whatever the working directory', async t => {
  const { config } = await loadConfig(trainKind, 'quickstart', [], tmpdir())
  t.regex(config.data.train.path!, /^\/.*examples\/gsm8k\/train\.jsonl$/)
})

test('a file can start from a preset and change some of it', async t => {
  const config = await load('preset: quickstart\nsampling: {completions: 6}\n')
  t.is(config.sampling.completions, 6)
  t.is(config.sampling.maxNewTokens, (await loadConfig(trainKind, 'quickstart')).config.sampling.maxNewTokens)
})

test('a data source that says which data it is replaces the one beneath whole', async t => {
  const config = await load('preset: paper-7b\ndata: {train: {path: mine.jsonl}}\n')
  t.is(config.data.train.hub, undefined)
  t.is(config.data.train.columns.question, 'question')
  t.is(config.data.longPrompts, 'skip')
})

test('paths are relative to the file that states them', async t => {
  const path = await file(minimal.replace('model: t', 'model: ./models/t'))
  const { config } = await loadConfig(trainKind, path, [], '/')
  t.is(config.data.train.path, path.replace('run.yaml', 'data.jsonl'))
  t.is(config.teacher.model, path.replace('run.yaml', 'models/t'))
  t.is(config.students[0]!.model, 's')
})

test('a path in --set is relative to the working directory', async t => {
  const { config } = await loadConfig(
    trainKind,
    await file(minimal),
    ['data.train.path=there/x.csv'],
    '/somewhere',
  )
  t.is(config.data.train.path, '/somewhere/there/x.csv')
})

test('a loss brings the defaults of the options that go with it', async t => {
  t.like((await load(minimal)).algorithm, {
    ...{ loss: 'grpo', clipLow: 0.2, clipHigh: 0.2, scaleAdvantages: true, klIn: 'loss' },
    dynamicSamplingRounds: 0,
    importanceSampling: { correct: 'auto', cap: 2 },
  })
  const dapo = await load(minimal, ['algorithm.loss=dapo', 'algorithm.clipLow=0.1'])
  t.like(dapo.algorithm, { clipLow: 0.1, clipHigh: 0.28, dynamicSamplingRounds: 10 })
  t.like((await load(minimal, ['algorithm.loss=gspo'])).algorithm, { clipLow: 3e-4, clipHigh: 4e-4 })
  t.like((await load(minimal, ['algorithm.loss=rloo'])).algorithm, { scaleAdvantages: false, klIn: 'reward' })
  const error = await t.throwsAsync(load(minimal, ['algorithm.loss=gpso']))
  t.regex(error.message, /algorithm\.loss: expected one of grpo, dr-grpo, .*did you mean gspo\?/)
})

test('--set takes YAML values and indices of lists', async t => {
  const config = await load(minimal, [
    'students.0.weight=2.5',
    'students[1].model=other',
    'optimizer.betas=[0.8, 0.9]',
    'optimizer.learningRate=1e-5',
    'data.heldOut={rows: 3}',
    'format.endOfExplanation.tag="</e>"',
  ])
  t.deepEqual(
    config.students.map(({ model, weight }) => [model, weight]),
    [
      ['s', 2.5],
      ['other', 1],
    ],
  )
  t.deepEqual(config.optimizer.betas, [0.8, 0.9])
  t.is(config.optimizer.learningRate, 1e-5)
  t.is(config.data.heldOut!.rows, 3)
  t.deepEqual(config.format.endOfExplanation, { tag: '</e>' })
})

test('--set of one kind of data source takes the place of the other', async t => {
  const { config } = await loadConfig(trainKind, 'paper-7b', ['data.train.path=x.jsonl'])
  t.is(config.data.train.hub, undefined)
})

test('an unknown option is named with file, line and column and the one probably meant', async t => {
  t.deepEqual(await complaints(t, `${minimal}sampling:\n  temprature: 1\n`), [
    'run.yaml:5:3: sampling.temprature: there is no such option; did you mean temperature?',
  ])
})

test('an option in the wrong place is named with its right one', async t => {
  t.deepEqual(await complaints(t, `${minimal}learningRate: 1\n`), [
    'run.yaml:4:1: learningRate: there is no such option; did you mean optimizer.learningRate?',
  ])
})

test('spelling in snake case is understood well enough to suggest the right one', async t => {
  const [line] = await complaints(t, `${minimal}optimizer: {learning_rate: 1}\n`)
  t.true(line!.endsWith('did you mean learningRate?'))
})

test('a typo in a choice is named with the choices', async t => {
  t.deepEqual(await complaints(t, `${minimal}optimizer:\n  schedule: cosin\n`), [
    'run.yaml:5:13: optimizer.schedule: expected one of constant, linear, cosine, got "cosin"; did you mean cosine?',
  ])
})

test('a wrong type says what was expected and what came', async t => {
  t.deepEqual(await complaints(t, `${minimal}training:\n  steps: many\n  seed: 1.5\n`), [
    'run.yaml:5:10: training.steps: expected a whole number (at least 1), got "many"',
    'run.yaml:6:9: training.seed: expected a whole number (at least 0 and at most 4294967295), got 1.5',
  ])
})

test('what is missing is asked for where it belongs', async t => {
  t.deepEqual(await complaints(t, 'teacher:\n  dtype: auto\nstudents: []\n'), [
    'run.yaml:1:1: teacher.model: missing; expected a text that is not empty',
    'run.yaml: data: missing; expected a mapping of train, heldOut, shuffle, maxPromptTokens, longPrompts',
    'run.yaml:3:11: students: understanding and naturalness are judged by students, and there are none; expected at ' +
      'least one, or reward.understanding.coefficient: 0 and reward.naturalness.coefficient: 0',
  ])
})

test('a complaint about --set names it', async t => {
  t.deepEqual(
    await complaints(t, minimal, ['sampling.minP=1', 'algorithm.bta=0', 'students.4.model=x', 'nonsense']),
    [
      '--set students.4.model=x: students: 4 is not an index of this list; expected 0 to 1',
      '--set nonsense: expected path.to.option=value, for example sampling.temperature=1',
      '--set sampling.minP=1: sampling.minP: expected a number (at least 0 and below 1), got 1',
      '--set algorithm.bta=0: algorithm.bta: there is no such option; did you mean beta?',
    ],
  )
})

test('the line is shown with a marker under what is at fault', async t => {
  const error = await t.throwsAsync(
    loadConfig(trainKind, await file(`${minimal}sampling:\n  topP: 2 # all\n`)),
  )
  t.true(error.message.endsWith('\n  5 |   topP: 2 # all\n    |         ^'))
})

test('faults and impossible combinations are reported together', async t => {
  const lines = await complaints(
    t,
    `${minimal}sampling: {completions: 1, topP: 3}\noptimizer: {warmupSteps: 999}\n`,
  )
  t.deepEqual(
    lines.map(line => line.split(': ')[1]),
    ['sampling.topP', 'sampling.completions', 'optimizer.warmupSteps'],
  )
})

test('YAML that is not valid is named with line and column', async t => {
  t.deepEqual(await complaints(t, `${minimal}sampling: {topP: 1\ntraining: {}\n`), [
    'run.yaml:5:1: this is not valid YAML: Flow map in block collection must be sufficiently indented and end with a }',
  ])
  const [twice] = await complaints(t, `${minimal}device: cpu\ndevice: cuda\n`)
  t.is(twice, 'run.yaml:5:1: this is not valid YAML: Map keys must be unique')
})

test('lines that end as on Windows count the same', async t => {
  const [line] = await complaints(t, `${minimal}device: gpu\n`.replaceAll('\n', '\r\n'))
  t.true(line!.startsWith('run.yaml:4:9: device: expected one of auto, cpu, cuda, got "gpu"'))
})

test('a value behind a YAML alias is found', async t => {
  const [line] = await complaints(t, `${minimal}sampling: {topP: &p 7}\nreward: {temperature: 1}\n`)
  t.true(line!.startsWith('run.yaml:4:21: sampling.topP'))
  const config = await load(`${minimal}sampling: {temperature: &t 0.5}\nreward: {temperature: *t}\n`)
  t.is(config.reward.temperature, 0.5)
})

test('a file without a mapping is refused', async t => {
  for (const text of ['', '- a\n', 'hello\n']) {
    const lines = await complaints(t, text)
    t.is(lines[0], 'run.yaml: expected a mapping of options', JSON.stringify(text))
  }
})

test('an unknown preset is refused with the one probably meant', async t => {
  await t.throwsAsync(loadConfig(trainKind, 'quikstart'), {
    instanceOf: UsageError,
    message: /did you mean quickstart\?/,
  })
  const [line] = await complaints(t, 'preset: paper-7\n')
  t.is(line, 'run.yaml:1:9: preset: there is no preset paper-7; did you mean paper-7b?')
})

test('a file that is not there is a usage error', async t => {
  await t.throwsAsync(loadConfig(trainKind, '/nowhere/run.yaml'), {
    instanceOf: UsageError,
    message: /there is no such file/,
  })
})

test('an object given by a program is checked in the same way', t => {
  const config = parseConfig(trainKind, {
    teacher: { model: 't' },
    students: [{ model: 's' }],
    data: { train: { path: '/d.jsonl' } },
  })
  t.is(config.data.train.path, '/d.jsonl')
  t.throws(() => parseConfig(trainKind, { ...config, device: 'gpu' }), {
    instanceOf: ConfigurationError,
    message: /\ndevice: expected one of auto, cpu, cuda, got "gpu"/,
  })
})

test('the resolved configuration loads again to the same object', async t => {
  const base = parseConfig(trainKind, {
    teacher: { model: 't' },
    students: [{ model: 's' }],
    data: { train: { path: '/d.jsonl' } },
  })
  // Texts and numbers are where YAML could be misread: anything a user may put in them must come back.
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }).filter(isWellFormed)
  const changes = fc.record({
    model: text,
    system: text,
    tag: text,
    learningRate: fc.double({ min: 1e-300, max: 1e300, noNaN: true }),
    options: fc.dictionary(
      text,
      fc.oneof(text, fc.boolean(), fc.constant(null), fc.double({ noNaN: true, noDefaultInfinity: true })),
    ),
    seed: fc.nat(),
  })
  const path = await file('')
  await fc.assert(
    fc.asyncProperty(changes, async ({ model, system, tag, learningRate, options, seed }) => {
      const config = parseConfig(trainKind, {
        ...base,
        teacher: { model: `m${model}` },
        format: { teacherSystem: system, endOfExplanation: { tag } },
        optimizer: { learningRate },
        reward: { terms: [{ module: `m${model}`, options }] },
        training: { seed },
      })
      await writeFile(path, formatConfig(config))
      t.deepEqual((await loadConfig(trainKind, path)).config, config)
    }),
    { numRuns: 100 },
  )
})

/** A lone surrogate cannot be written to a file as UTF-8 by anyone. */
const isWellFormed = (text: string) => Buffer.from(text).toString() === text
