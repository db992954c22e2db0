import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { parse } from 'yaml'
import { RunFolder } from '../../lib/runs/index.js'
import { rlt } from './run-rlt.js'

async function file(name: string, text: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'rlt-cli-')), name)
  await writeFile(path, text)
  return path
}

const commands = [
  'train',
  'warmup',
  'distill',
  'pipeline',
  'generate',
  'logprobs',
  'report',
  'bench',
  'doctor',
]

test('--help lists the commands and ends with 0', async t => {
  const { code, stdout } = await rlt(['--help'])
  t.is(code, 0)
  for (const command of commands) t.regex(stdout, new RegExp(`rlt ${command}\\b`))
})

for (const command of commands)
  test(`rlt ${command} --help has an example and names the options of every command`, async t => {
    const { code, stdout } = await rlt([command, '--help'])
    t.is(code, 0)
    t.regex(stdout, /Examples:/)
    t.regex(stdout, /--json/)
  })

for (const command of ['train', 'warmup', 'distill', 'pipeline', 'generate', 'logprobs'])
  test(`rlt ${command} takes the options of every command that loads a model`, async t => {
    const { stdout } = await rlt([command, '--help'])
    for (const option of ['--dtype', '--device', '--threads']) t.true(stdout.includes(option))
  })

const misuse: [string, string[], RegExp][] = [
  ['no command', [], /Name a command.*\nSee rlt --help/],
  ['an unknown command', ['trian'], /trian; did you mean train\?\nSee rlt --help/],
  [
    'an unknown option',
    ['generate', '--model', 'm', '--promt', 'x'],
    /promt; did you mean --prompt\?\nSee rlt generate --help/,
  ],
  ['a missing option', ['logprobs', '--input', 'x'], /Missing required argument: model/],
  [
    'an option given twice',
    ['logprobs', '--model', 'a', '--model', 'b', '--input', 'x'],
    /--model: expected once, got it 2 times/,
  ],
  ['an option without its value', ['generate', '--model'], /--model: expected a value .*--model=VALUE/],
  ['nothing to generate from', ['generate', '--model', 'm'], /Expected --prompt TEXT or --input/],
  [
    'two things to generate from',
    ['generate', '--model', 'm', '--prompt', 'a', '--input', 'b'],
    /mutually exclusive/,
  ],
  [
    'a number that is none',
    ['generate', '--model', 'm', '--prompt', 'a', '--n', 'many'],
    /--n: expected a whole number \(at least 1\), got NaN/,
  ],
  [
    'a number out of range',
    ['generate', '--model', 'm', '--prompt', 'a', '--top-p', '1.5'],
    /--top-p: expected a number \(above 0 and at most 1\), got 1\.5/,
  ],
  ['a choice that is none', ['logprobs', '--model', 'm', '--input', 'x', '--dtype', 'fp8'], /dtype.*"fp8"/s],
  [
    'an input that is not there',
    ['logprobs', '--model', 'm', '--input', '/nowhere'],
    /--input: \/nowhere cannot be read/,
  ],
  ['an input that is a folder', ['logprobs', '--model', 'm', '--input', '/'], /is a folder/],
  ['no configuration', ['train'], /rlt train quickstart .*rlt train --resume/s],
  ['an unknown preset', ['train', 'quickstar'], /did you mean quickstart\?/],
  ['a configuration and a run', ['train', 'quickstart', '--resume', 'x'], /mutually exclusive/],
  ['a run that is not there', ['train', '--resume', '/nowhere'], /\/nowhere is not a run folder/],
  ['a report of nothing', ['report', '/nowhere'], /\/nowhere is not a run folder/],
]

for (const [name, args, message] of misuse)
  test(`misuse ends with 2 and says what to do: ${name}`, async t => {
    const { code, stdout, stderr } = await rlt(args)
    t.is(code, 2, stderr)
    t.is(stdout, '')
    t.regex(stderr, /^error: /)
    t.regex(stderr, message)
    t.notRegex(stderr, /^ {4}at /m, 'no stack trace')
  })

test('--verbose adds the stack', async t => {
  const { stderr } = await rlt(['report', '/nowhere', '--verbose'])
  t.regex(stderr, /^ {4}at /m)
})

test('a faulty configuration is refused with its place before anything is loaded', async t => {
  const config = await file('run.yaml', 'preset: quickstart\nsampling:\n  completions: 1\n')
  const { code, stderr } = await rlt(['train', config, '--set', 'training.step=3'])
  t.is(code, 2)
  t.true(stderr.includes(`${config}:3:16: sampling.completions: `))
  t.true(
    stderr.includes('--set training.step=3: training.step: there is no such option; did you mean steps?'),
  )
})

test('rlt train --check prints the complete configuration', async t => {
  const { code, stdout } = await rlt([
    'train',
    'quickstart',
    '--check',
    '--set',
    'training.steps=7',
    '--set',
    'device=cpu',
  ])
  t.is(code, 0)
  t.like(parse(stdout), { training: { steps: 7 }, device: 'cpu', algorithm: { clipLow: 0.2 } })
})

test('--dtype, --device and --threads hold for all models of a run', async t => {
  const args = ['--dtype', 'float32', '--device', 'cpu', '--threads', '3']
  const { stdout } = await rlt(['train', 'paper-7b', '--check', '--json', ...args])
  t.like(JSON.parse(stdout), { teacher: { dtype: 'float32' }, device: 'cpu', threads: 3 })
  t.is(JSON.parse(stdout).students[0].dtype, 'float32')
})

test('rlt train --options describes every option', async t => {
  const { code, stdout } = await rlt(['train', '--options'])
  t.is(code, 0)
  for (const option of [
    'teacher.model',
    'students[].weight',
    'data.heldOut.rows',
    'reward.naturalness.estimator',
  ])
    t.true(stdout.split('\n').includes(option), option)
})

test('a broken line 37 is named before anything is loaded', async t => {
  const lines = Array.from({ length: 40 }, () => '{"prefix": "a", "suffix": "b"}')
  lines[36] = '{"prefix": "a", "suffix": '
  const input = await file('pairs.jsonl', lines.join('\n'))
  const { code, stdout, stderr } = await rlt(['logprobs', '--model', '/no/such/model', '--input', input])
  t.is(code, 1)
  t.is(stdout, '')
  t.true(stderr.startsWith(`error: ${input}:37: this line is not JSON: `), stderr)
})

const wrongLines: [string, string, string][] = [
  ['logprobs', '{"prefix": "a"}', 'suffix: expected a text or a list of token ids, got nothing'],
  [
    'logprobs',
    '{"prefix": [1, -2], "suffix": "b"}',
    'prefix[1]: expected a token id (a whole number of at least 0), got -2',
  ],
  ['logprobs', '[1, 2]', 'expected an object with prefix and suffix'],
  ['generate', '{"prompt": 7}', 'prompt: expected a text or a list of token ids, got 7'],
  ['generate', '{"prompt": "a", "messages": []}', 'expected one of prompt and messages'],
  ['generate', '{"messages": [{"role": "user"}]}', 'messages[0]: expected {"role": text, "content": text}'],
  ['generate', '{"messages": []}', 'messages: expected a list of at least 1 message'],
]

for (const [command, line, message] of wrongLines)
  test(`a line that ${command} cannot take is named with the field: ${line}`, async t => {
    const input = await file('lines.jsonl', `\n${line}\n`)
    const { code, stderr } = await rlt([command, '--model', '/no/such/model', '--input', input])
    t.is(code, 1)
    t.is(stderr, `error: ${input}:2: ${message}\n`)
  })

test('rlt report writes the report and says where', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'rlt-cli-'))
  const run = await RunFolder.create(folder, 'a: 1\n')
  await run.appendMetrics({ step: 1, reward: 2 })
  await run.close()
  const { code, stdout, stderr } = await rlt(['report', folder, '--json'])
  t.is(code, 0)
  t.is(stderr, '')
  t.deepEqual(JSON.parse(stdout), { report: join(folder, 'report.html') })
})
