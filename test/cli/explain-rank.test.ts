/** rlt explain and rlt rank as a user meets them. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { stringify } from 'yaml'
import { tinyExplain } from '../stages/tiny-explain.js'
import { dataFile, folder, model, readRows } from '../stages/tiny-run.js'
import { rlt, startRlt } from './run-rlt.js'

const models = ['--teacher', model, '--student', 'teacher', '--dtype', 'float32']
const plain = ['--set', 'format.style=plain', '--set', 'cache=null']

async function configFile(changes: Parameters<typeof tinyExplain>[0] = {}): Promise<[string, string]> {
  const config = await tinyExplain(changes)
  const file = `${config.output.path}.yaml`
  await writeFile(file, stringify(config))
  return [file, config.output.path]
}

async function tracesFile(name: string, count = 5): Promise<string> {
  const rows = Array.from({ length: count }, (_, i) => ({
    question: `what is ${i}?`,
    solution: `it is ${i}.`,
    reasoning_trace: `because ${i} is ${i}.`,
  }))
  const file = join(folder, name)
  await writeFile(file, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  return file
}

test.serial('explain: rows in the file, what was done on stdout', async t => {
  const [config, output] = await configFile()
  const { code, stdout, stderr } = await rlt(['explain', config, '--json'])
  t.is(code, 0, stderr)
  const rows = await readRows(output)
  t.like(JSON.parse(stdout), { output, questions: 7, explanations: rows.length, finished: true })
  t.regex(stderr, /7 of 7 questions, mean reward -/)
})

test.serial('explain: everything by --set', async t => {
  const output = join(folder, 'set.jsonl')
  const sets = [
    ...[`teacher.model=${model}`, 'students=[{model: teacher}]', `data.path=${dataFile}`, 'data.limit=2'],
    ...['format.style=plain', 'sampling.completions=2', 'sampling.maxNewTokens=64', `output.path=${output}`],
    `output.failures=${join(folder, 'set-failures.jsonl')}`,
  ]
  const { code, stderr } = await rlt(['explain', ...sets.flatMap(set => ['--set', set])])
  t.is(code, 0, stderr)
  t.regex(stderr, /explanations of \d questions: .*set\.jsonl/)
})

test.serial('explain: Ctrl-C keeps what is finished, and the same command gives the whole', async t => {
  const changes = { sampling: { completions: 8, maxNewTokens: 300 }, questionsPerBatch: 1 }
  const [unbroken, whole] = await configFile(changes)
  t.is((await rlt(['explain', unbroken])).code, 0)
  const [config, output] = await configFile(changes)
  const child = startRlt(['explain', config])
  const ended = new Promise(resolve => child.on('close', resolve))
  let stderr = ''
  let asked = false
  child.stderr.on('data', chunk => {
    stderr += chunk
    // Once only: the second one ends the process at once.
    if (!asked && stderr.includes('1 of 7 questions')) asked = child.kill('SIGINT')
  })
  t.is(await ended, 0, stderr)
  t.regex(stderr, /Stopped after \d of 7 questions, which are saved\. The same command goes on\./)
  const resumed = await rlt(['explain', config])
  t.is(resumed.code, 0, resumed.stderr)
  t.is(await readFile(output, 'utf8'), await readFile(whole, 'utf8'))
})

test.serial(
  'explain: a mistake in the configuration is shown where it is, before anything is loaded',
  async t => {
    const [config] = await configFile({ teacher: { model: '/nonexistent' } })
    await writeFile(config, (await readFile(config, 'utf8')).replace('questionsPerBatch', 'questionPerBatch'))
    const { code, stderr } = await rlt(['explain', config])
    t.is(code, 2)
    t.regex(stderr, /yaml:\d+:1: questionPerBatch: there is no such option; did you mean questionsPerBatch\?/)
  },
)

test.serial('rank: each line of the input with its reward on stdout, in its order', async t => {
  const data = await tracesFile('traces.jsonl')
  const { code, stdout, stderr } = await rlt(['rank', data, ...models, ...plain, '--json'])
  t.is(code, 0, stderr)
  const input = await readRows(data)
  const rows = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  t.is(rows.length, input.length)
  for (const [i, row] of rows.entries()) {
    t.like(row, input[i]!)
    t.true(Number.isFinite(row.reward) && Number.isFinite(row.parts.understanding))
  }
})

test.serial('rank: the histogram for people, files for the rest', async t => {
  const data = await tracesFile('more.jsonl', 9)
  const output = join(folder, 'best.parquet')
  const histogram = join(folder, 'best.svg')
  const args = ['--top', '3', '--partitions', '3', '--output', output, '--histogram', histogram]
  const { code, stdout, stderr } = await rlt(['rank', data, ...models, ...plain, ...args])
  t.is(code, 0, stderr)
  t.regex(stdout, /^ *-\d\.\d+ … -\d\.\d+ {2}━/)
  const counts = [...stdout.matchAll(/(\d+)\n/g)].map(([, count]) => Number(count))
  t.is(
    counts.reduce((a, b) => a + b, 0),
    9,
  )
  t.regex(stderr, /9 rows: mean -/)
  t.true(stderr.includes(`Written: ${output}`) && stderr.includes(`Written: ${histogram}`))
  t.regex(await readFile(histogram, 'utf8'), /^<svg/)

  const asJson = await rlt(['rank', data, ...models, ...plain, ...args, '--json'])
  t.like(JSON.parse(asJson.stdout), { output: [output], rows: 9, failed: 0, finished: true })
})

test.serial('rank: a configuration file, and options over it', async t => {
  const data = await tracesFile('configured.jsonl')
  const config = join(folder, 'rank.yaml')
  await writeFile(
    config,
    stringify({
      teacher: { model, dtype: 'float32' },
      students: [{ model: 'teacher', dtype: 'float32' }],
      data: { path: data },
      format: { style: 'plain' },
      cache: null,
    }),
  )
  const { code, stdout, stderr } = await rlt(['rank', config, '--top', '2', '--order', 'reward', '--json'])
  t.is(code, 0, stderr)
  const ranks = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).rank)
  t.deepEqual(ranks, [1, 2])
})

test.serial('rank: bad usage', async t => {
  const data = await tracesFile('usage.jsonl')
  const cases: [string[], number, RegExp][] = [
    [[], 2, /What should be ranked\?/],
    [[data, '--student', model], 2, /teacher: naturalness compares the teacher with the students/],
    [[data, '--teacher', model], 2, /students: missing; expected a list/],
    [[data, ...models, '--top', '0'], 2, /--top: expected a whole number \(at least 1\), got 0/],
    [[join(folder, 'absent.jsonl'), ...models], 1, /absent\.jsonl cannot be read: there is no such file/],
  ]
  for (const [args, expected, message] of cases) {
    const { code, stderr } = await rlt(['rank', ...args])
    t.is(code, expected, stderr)
    t.regex(stderr, message)
  }
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
