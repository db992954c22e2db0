import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { ExplainConfigInput } from '../../lib/config/index.js'
import { ConfigurationError, ServerError } from '../../lib/errors.js'
import { type ExplainEvent, explain } from '../../lib/stages/explain.js'
import { rank } from '../../lib/stages/rank.js'
import { type Asked, completionServer } from './completion-server.js'
import { killedAt, tinyExplain } from './tiny-explain.js'
import { type DeepPartial, folder, model, readRows } from './tiny-run.js'

/** The teacher is at a server, and on this machine too. */
const atServer = (
  server: string,
  changes: DeepPartial<ExplainConfigInput> = {},
  teacher: DeepPartial<ExplainConfigInput['teacher']> = {},
) =>
  tinyExplain({
    sampling: { completions: 2 },
    ...changes,
    teacher: { server, model: 'the-teacher', weights: model, dtype: 'float32', ...teacher },
  })

/** The tags' own system messages alone fill the context of a model of letters. */
const shortTags = { style: 'tags', teacherSystem: 'be brief.', studentSystem: '' } as const

const letter = (asked: Asked) => 'abcdefgh'[asked.body.seed % 8]!
const questionOf = ({ text }: Asked) => /what is \d \+ \d\?/.exec(text)![0]

test('chat: what is asked, and that what comes is rewarded as any text', async t => {
  const server = await completionServer(t, asked => ({ content: `because of ${letter(asked)}.` }))
  process.env.RLT_TEST_KEY = 'secret'
  const config = await atServer(
    server.address,
    { format: shortTags, sampling: { completions: 2, topK: 20 } },
    { apiKeyVariable: 'RLT_TEST_KEY' },
  )
  const result = await explain(config)
  t.like(result, { questions: 7, failed: 0, finished: true })
  t.is(server.asked.length, 14)
  const [first] = server.asked
  t.is(first!.path, '/v1/chat/completions')
  t.is(first!.headers.authorization, 'Bearer secret')
  t.like(first!.body, { model: 'the-teacher', max_tokens: 48, temperature: 0.7, top_k: 20 })
  t.deepEqual(first!.body.stop, ['<|end_of_explanation|>'])
  t.false('top_p' in first!.body)
  t.deepEqual(
    first!.body.messages!.map(({ role }) => role),
    ['system', 'user', 'assistant'],
  )
  t.is(first!.body.messages![1]!.content, 'what is 0 + 1?')
  t.is(
    first!.body.messages![2]!.content,
    '<|begin_of_solution|>0 + 1 = 1.<|end_of_solution|>\n\n<|begin_of_explanation|>\n\n',
  )
  t.like(first!.body, { continue_final_message: true, add_generation_prompt: false })
  t.is(new Set(server.asked.map(({ body }) => body.seed)).size, 14, 'each sample has a seed of its own')

  const rows = await readRows(config.output.path)
  const output = `${config.output.path}.ranked.jsonl`
  const { students, format } = config
  await rank({
    ...{ students, format, device: 'cpu', threads: 1, cache: null },
    teacher: { model, dtype: 'float32' },
    data: { path: config.output.path },
    output: { path: output },
  })
  // float32 log-probabilities in batches of another shape: 1e-6, and 3 times their mean.
  for (const [i, row] of (await readRows(output)).entries())
    t.true(Math.abs((row.reward as number) - (rows[i]!.reward as number)) < 1e-4)
})

test('completions: the prompt is the text that a teacher here would read', async t => {
  const server = await completionServer(t, () => ({ content: 'so.' }))
  await explain(await atServer(server.address, {}, { requests: { api: 'completions' } }))
  const [first] = server.asked
  t.is(first!.path, '/v1/completions')
  t.is(
    first!.body.prompt,
    '<|im_start|>user\nQuestion: what is 0 + 1?\n\nSolution: 0 + 1 = 1.\n\n' +
      'In one or two short sentences, explain how to get from the question to this solution.<|im_end|>\n' +
      '<|im_start|>assistant\n',
  )
})

test('the same explanation twice is kept once', async t => {
  const server = await completionServer(t, () => ({ content: 'always the same.' }))
  const config = await atServer(server.address)
  t.like(await explain(config), { explanations: 7, failed: 0 })
  const rows = await readRows(config.output.path)
  t.true(rows.every(row => row.explanation === 'always the same.' && row.rank === 1))
})

test('whether an explanation was ended, by what each kind of server says', async t => {
  const tag = '<|end_of_explanation|>'
  const cases: [string, { content: string; finish?: string; extra?: Record<string, unknown> }, string?][] = [
    ['what is 0 + 1?', { content: 'vllm, by the tag', extra: { stop_reason: tag } }, 'vllm, by the tag'],
    ['what is 1 + 2?', { content: 'vllm, by its turn', extra: { stop_reason: null } }],
    ['what is 2 + 3?', { content: 'sglang, by the tag', extra: { matched_stop: tag } }, 'sglang, by the tag'],
    ['what is 3 + 4?', { content: 'sglang, by its turn', extra: { matched_stop: 1 } }],
    ['what is 4 + 5?', { content: 'llama says nothing of it' }, 'llama says nothing of it'],
    ['what is 5 + 6?', { content: 'cut off', finish: 'length' }],
    ['what is 6 + 7?', { content: `with it${tag} and more`, finish: 'length' }, 'with it'],
  ]
  const server = await completionServer(t, asked => cases.find(([text]) => text === questionOf(asked))![1])
  const config = await atServer(server.address, { format: shortTags })
  const result = await explain(config)
  t.is(result.failed, 3)
  t.deepEqual(
    (await readRows(config.output.path)).map(row => [row.question, row.explanation]),
    cases.flatMap(([question, , explanation]) =>
      explanation === undefined ? [] : [[question, explanation]],
    ),
  )
})

test('429 and 5xx are tried again', async t => {
  const replies = [
    { status: 429, headers: { 'retry-after': '0' } },
    { status: 503 },
    { content: 'at last.' },
  ] as const
  const server = await completionServer(t, (_, count) => replies[Math.min(count, 3) - 1]!)
  const path = join(folder, 'one.jsonl')
  await writeFile(path, '{"question": "what?", "solution": "that."}\n')
  const config = await atServer(server.address, { data: { path }, sampling: { completions: 1 } })
  t.like(await explain(config), { explanations: 1, failed: 0 })
  t.is(server.asked.length, 3)
})

test('what the server refuses or never answers is a failure of its question alone', async t => {
  const server = await completionServer(t, asked => {
    if (questionOf(asked) === 'what is 1 + 2?') return { status: 400, message: 'the prompt is too long' }
    if (questionOf(asked) === 'what is 4 + 5?') return 'silence'
    return { content: 'fine.' }
  })
  const config = await atServer(server.address, {}, { requests: { timeoutSeconds: 0.3, retries: 0 } })
  const result = await explain(config)
  t.like(result, { questions: 7, explanations: 5, failed: 2 })
  const failures = await readRows(result.failures!)
  t.deepEqual(
    failures.map(row => row.question),
    ['what is 1 + 2?', 'what is 4 + 5?'],
  )
  t.regex(failures[0]!.reason as string, /answered 400: the prompt is too long/)
  t.regex(failures[1]!.reason as string, /no answer within 0\.3 s/)
})

test('a server that refuses all stops the work, which goes on when it does not', async t => {
  let broken = true
  const server = await completionServer(t, asked => {
    if (broken && /what is [4-6]/.test(questionOf(asked))) return { status: 401, message: 'no key' }
    return { content: `because of ${letter(asked)}.` }
  })
  const config = await atServer(server.address, { questionsPerBatch: 2 })
  const error = await t.throwsAsync(explain(config), { instanceOf: ServerError })
  t.regex(error.message, /answered 401: no key\n.*teacher\.apiKeyVariable/)
  t.is(new Set((await readRows(config.output.path)).map(row => row.question)).size, 4)
  broken = false
  const before = server.asked.length
  t.true((await explain(config)).finished)
  t.is(server.asked.length - before, 6, 'the three questions that were left, twice each')
})

test('a server that fails for all questions is not taken for bad questions', async t => {
  const server = await completionServer(t, () => ({ status: 500, message: 'out of memory' }))
  await t.throwsAsync(explain(await atServer(server.address, {}, { requests: { retries: 0 } })), {
    instanceOf: ServerError,
    message: /answered 500: out of memory/,
  })
})

test('a server that is not there, and one that speaks otherwise', async t => {
  const requests = { retries: 0 }
  await t.throwsAsync(explain(await atServer('http://127.0.0.1:9/v1', {}, { requests })), {
    instanceOf: ServerError,
    message: /127\.0\.0\.1:9\/v1\/chat\/completions cannot be reached/,
  })
  const server = await completionServer(t, () => ({ status: 200 }))
  await t.throwsAsync(explain(await atServer(server.address, {}, { requests })), {
    instanceOf: ServerError,
    message: /has no choices; expected that of an OpenAI-compatible server/,
  })
})

test('as many requests at a time as are allowed, and the order of the output is that of the input', async t => {
  const server = await completionServer(t, async asked => {
    await sleep(asked.body.seed % 40)
    return { content: `about ${questionOf(asked).slice(8, 13)}.` }
  })
  const config = await atServer(
    server.address,
    { questionsPerBatch: 7, sampling: { completions: 3 } },
    { requests: { concurrency: 4 } },
  )
  await explain(config)
  t.is(server.mostAtOnce(), 4)
  t.deepEqual(
    (await readRows(config.output.path)).map(row => row.explanation as string),
    Array.from({ length: 7 }, (_, i) => `about ${i} + ${i + 1}.`),
  )
})

test('without weights here, students judge the text', async t => {
  const server = await completionServer(t, asked => ({ content: `because of ${letter(asked)}.` }))
  const config = await atServer(
    server.address,
    { students: [{ model, dtype: 'float32' }], reward: { naturalness: { coefficient: 0 } } },
    { weights: null },
  )
  t.like(await explain(config), { failed: 0 })
  for (const row of await readRows(config.output.path)) t.true((row.reward as number) < 0)
})

test('killed and gone on with: finished questions are not asked again', async t => {
  const server = await completionServer(t, asked => ({ content: `because of ${letter(asked)}.` }))
  const unbroken = await atServer(server.address)
  await explain(unbroken)
  server.asked.length = 0
  const config = await atServer(server.address)
  t.is(await killedAt('explain', config, 'batch', 2), 'SIGKILL')
  await explain(config)
  const finished = server.asked.filter(asked => /what is [0-3]/.test(questionOf(asked)))
  t.is(finished.length, 8)
  t.deepEqual(await readRows(config.output.path), await readRows(unbroken.output.path))
})

test('the server samples the next batch while this machine scores', async t => {
  const server = await completionServer(t, asked => ({ content: `because of ${letter(asked)}.` }))
  const config = await atServer(server.address)
  const told: string[] = []
  const onEvent = async (event: ExplainEvent) => {
    if (event.type === 'phase' && event.phase !== 'load') told.push(event.phase)
    if (event.type === 'batch') told.push(`${server.asked.length > 2 * event.questions}`)
  }
  await explain(config, { onEvent })
  // Of four batches, each but the last is finished when more has been asked for already.
  t.deepEqual(
    told.filter(entry => entry === 'true' || entry === 'false'),
    ['true', 'true', 'true', 'false'],
  )
  // The progress that is told is of one batch at a time.
  const phases = told.filter((entry, i) => entry !== told[i - 1] && entry !== 'true' && entry !== 'false')
  t.deepEqual(phases, Array.from({ length: 4 }, () => ['sample', 'score']).flat())
})

test('what is asked ahead is given up when scoring fails', async t => {
  const server = await completionServer(t, asked =>
    /what is [01]/.test(questionOf(asked)) ? { content: `because of ${letter(asked)}.` } : 'silence',
  )
  const file = join(folder, 'failing-term.mjs')
  await writeFile(file, "export function reward() { throw new Error('no such thing') }")
  const config = await atServer(server.address, { reward: { terms: [{ module: file }] } })
  await t.throwsAsync(explain(config), { message: /no such thing/ })
})

test('aborting ends open requests', async t => {
  const server = await completionServer(t, () => 'silence')
  const controller = new AbortController()
  const working = explain(await atServer(server.address), { signal: controller.signal })
  while (server.asked.length < 4) await sleep(10)
  controller.abort()
  t.like(await working, { finished: false, questions: 0 })
})

test('a key that the environment lacks is named', async t => {
  const config = await atServer('http://127.0.0.1:9/v1', {}, { apiKeyVariable: 'RLT_NO_SUCH_KEY' })
  await t.throwsAsync(explain(config), {
    instanceOf: ConfigurationError,
    message: /the environment has no variable RLT_NO_SUCH_KEY/,
  })
})

test.after.always(() => rm(folder, { recursive: true, force: true }))
