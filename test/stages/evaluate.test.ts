import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import type { EvaluateConfigInput } from '../../lib/config/index.js'
import { countdownProblem } from '../../lib/countdown/index.js'
import { ConfigurationError, DataError } from '../../lib/errors.js'
import { RunError } from '../../lib/runs/index.js'
import { type EvaluateEvent, evaluate, type GradedQuestion } from '../../lib/stages/evaluate.js'
import { type PipelineConfigInput, runPipeline } from '../../lib/stages/pipeline.js'
import { type Asked, completionServer } from './completion-server.js'
import { killedAnywhere, killedAt } from './tiny-explain.js'
import { type DeepPartial, folder, merge, model, otherTokenizer, readRows, tinyConfig } from './tiny-run.js'

const file = join(folder, 'questions.jsonl')
const rows = Array.from({ length: 7 }, (_, i) => ({
  question: `what is ${i} + ${i + 1}?`,
  answer: String(2 * i + 1),
}))
await writeFile(file, rows.map(row => `${JSON.stringify(row)}\n`).join(''))

/** Seven questions in batches of two, three answers each, into a new folder. */
async function tinyEvaluate(
  changes: DeepPartial<EvaluateConfigInput> = {},
): Promise<EvaluateConfigInput & { output: { folder: string } }> {
  const base = {
    models: [{ model, dtype: 'float32' }],
    tasks: [{ path: file, user: '{question}' }],
    ...{ device: 'cpu', threads: 1, questionsPerBatch: 2, seed: 7 },
    sampling: { samples: 3, temperature: 1, maxNewTokens: 24 },
    bootstrap: { resamples: 200 },
    output: { folder: await mkdtemp(join(folder, 'evaluate-')) },
  }
  return merge(base, changes) as EvaluateConfigInput & { output: { folder: string } }
}

const outputsOf = async ({ output }: { output: { folder: string } }) =>
  (await readRows(join(output.folder, 'outputs.jsonl'))) as unknown as GradedQuestion[]

/** At a server that answers as a test wants; greedy. */
const atServer = (address: string, changes: DeepPartial<EvaluateConfigInput> = {}) =>
  tinyEvaluate({
    ...{ models: [{ model: 'asked', server: address }], sampling: { samples: 1, temperature: 0 } },
    ...changes,
  })

const sumIn = ({ text }: Asked) => {
  const [, a, b] = /what is (\d) \+ (\d)\?/.exec(text)!
  return Number(a) + Number(b)
}

test('every answer of a model here, with its grade', async t => {
  const config = await tinyEvaluate({ passAt: [1, 2, 3] })
  const { results, comparisons, outputs, finished } = await evaluate(config)
  t.true(finished)
  t.deepEqual(comparisons, [])
  t.like(results[0], { model, task: 'questions.jsonl', questions: 7, samples: 3, failed: 0 })
  t.deepEqual(Object.keys(results[0]!.passAt), ['1', '2', '3'])
  t.is(results[0]!.passAt[1]!.mean, results[0]!.accuracy.mean)
  const rows = await outputsOf(config)
  t.is(outputs, join(config.output.folder, 'outputs.jsonl'))
  t.deepEqual(
    rows.map(({ place }) => place),
    [0, 1, 2, 3, 4, 5, 6],
  )
  for (const { samples } of rows) {
    t.is(samples.length, 3)
    t.is(new Set(samples.map(({ text }) => text)).size, 3, 'each sample has a seed of its own')
    t.true(samples.every(({ tokens, finish }) => tokens! <= 24 && (finish === 'stop' || tokens === 24)))
  }
  const { identity, ...summary } = JSON.parse(
    await readFile(join(config.output.folder, 'summary.json'), 'utf8'),
  )
  t.deepEqual(summary, { results, comparisons })
  t.is(typeof identity, 'string')
})

test('killed and gone on with, or in batches: the same bytes as without', async t => {
  const whole = await tinyEvaluate()
  await evaluate(whole)
  const expected = await readFile(join(whole.output.folder, 'outputs.jsonl'), 'utf8')
  for (const [event, count] of [
    ['batch', 1],
    ['batch', 3],
    ['sample', 8],
    ['sample', 21],
  ] as const) {
    const config = await tinyEvaluate()
    t.is(await killedAt('evaluate', config, event, count), 'SIGKILL')
    const events: EvaluateEvent[] = []
    const result = await evaluate(config, { onEvent: told => events.push(told) })
    t.true(result.finished)
    t.is(await readFile(join(config.output.folder, 'outputs.jsonl'), 'utf8'), expected, `${event} ${count}`)
    if (event === 'batch') {
      const first = events.find(told => told.type === 'batch')
      t.is(
        first?.type === 'batch' && first.questions,
        Math.min(7, 2 * (count + 1)),
        'what is finished is not answered again',
      )
    }
  }
})

test('killed at three random moments and gone on with: the same bytes as without', async t => {
  const whole = await tinyEvaluate()
  await evaluate(whole)
  const config = await tinyEvaluate()
  await killedAnywhere(t, 'evaluate', config)
  t.true((await evaluate(config)).finished)
  const outputs = (folder: string) => readFile(join(folder, 'outputs.jsonl'), 'utf8')
  t.is(await outputs(config.output.folder), await outputs(whole.output.folder))
})

test('aborted, it keeps what is finished', async t => {
  const config = await tinyEvaluate()
  const controller = new AbortController()
  const stopped = await evaluate(config, {
    signal: controller.signal,
    onEvent: event => {
      if (event.type === 'batch') controller.abort()
    },
  })
  t.like(stopped, { finished: false, results: [] })
  t.is((await outputsOf(config)).length, 2)
  t.is((await evaluate(config)).results[0]!.questions, 7)
})

test('when all is answered, other figures take no model', async t => {
  const config = await tinyEvaluate()
  const first = await evaluate(config)
  const events: EvaluateEvent[] = []
  const again = await evaluate(
    { ...config, passAt: [1, 3], bootstrap: { resamples: 100 } },
    { onEvent: e => events.push(e) },
  )
  t.false(events.some(({ type }) => type === 'batch'))
  t.is(again.results[0]!.accuracy.mean, first.results[0]!.accuracy.mean)
  t.deepEqual(Object.keys(again.results[0]!.passAt), ['1', '3'])
  await t.throwsAsync(evaluate({ ...config, seed: 8 }), { instanceOf: RunError, message: /another folder/ })
})

test('two models: side by side, with the same questions', async t => {
  const server = await completionServer(t, asked => {
    const isSecond = asked.body.model === 'second'
    // The second is wrong where the sum is above 5.
    const sum = sumIn(asked)
    return { content: `The answer is \\boxed{${isSecond && sum > 5 ? 0 : sum}}.` }
  })
  const models = [
    { model: 'first', server: server.address },
    { model: 'second', server: server.address, name: 'the other' },
  ]
  const { results, comparisons } = await evaluate(await atServer(server.address, { models }))
  t.deepEqual(
    results.map(({ model, accuracy }) => [model, accuracy.mean]),
    [
      ['first', 1],
      ['the other', 3 / 7],
    ],
  )
  const [comparison] = comparisons
  t.like(comparison, { task: 'questions.jsonl', first: 'first', second: 'the other' })
  t.true(Math.abs(comparison!.difference.mean - 4 / 7) < 1e-12)
  t.deepEqual(comparison!.mcNemar, { onlyFirst: 4, onlySecond: 0, pValue: 0.125 })
  const seeds = (name: string) =>
    server.asked.filter(({ body }) => body.model === name).map(({ body }) => body.seed)
  t.deepEqual(seeds('first').toSorted(), seeds('second').toSorted(), 'both are asked with the same seeds')
})

test('two models here, of other tokenizers', async t => {
  const config = await tinyEvaluate({
    models: [
      { model, dtype: 'float32' },
      { model: otherTokenizer, dtype: 'float32' },
    ],
  })
  const { results, comparisons } = await evaluate(config)
  t.is(results.length, 2)
  t.is(comparisons[0]!.mcNemar, null, 'of several samples there is none')
  const rows = await outputsOf(config)
  t.deepEqual(
    rows.map(row => row.model),
    [...Array(7).fill(model), ...Array(7).fill(otherTokenizer)],
  )
})

test('the chat prompt, and that of a distilled student', async t => {
  const server = await completionServer(t, asked => ({ content: `${sumIn(asked)}` }))
  await evaluate(await atServer(server.address, { tasks: [{ path: file, limit: 1 }] }))
  t.deepEqual(server.asked[0]!.body.messages, [
    {
      role: 'user',
      content: 'what is 0 + 1?\n\nPlease reason step by step, and put your final answer within \\boxed{}.',
    },
  ])
  await evaluate(
    await atServer(server.address, {
      tasks: [{ path: file, limit: 1 }],
      prompt: { style: 'student' },
      format: { style: 'tags', studentSystem: 'think.' },
    }),
  )
  const { body } = server.asked[1]!
  t.deepEqual(body.messages, [
    { role: 'system', content: 'think.' },
    { role: 'user', content: 'what is 0 + 1?' },
    { role: 'assistant', content: '<|begin_of_thought|>\n\n' },
  ])
  t.like(body, { continue_final_message: true, stop: ['<|end_of_solution|>'] })
})

test('of a student that thinks first, the solution is graded and not the thoughts', async t => {
  const server = await completionServer(t, asked => ({
    content: `\\boxed{99}?\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nIt is ${sumIn(asked)}.`,
  }))
  const { results } = await evaluate(await atServer(server.address, { prompt: { style: 'student' } }))
  t.is(results[0]!.accuracy.mean, 1)
})

test('countdown: any calculation that is right, of problems made or read', async t => {
  const answers = Array.from({ length: 5 }, (_, i) => countdownProblem(7, i))
  const server = await completionServer(t, ({ text }) => {
    const problem = answers.find(({ question }) => text.includes(question))!
    const right = problem !== answers[0]
    return { content: right ? `<answer>${problem.answer}</answer>` : `\\boxed{${problem.target}}` }
  })
  const made = await evaluate(await atServer(server.address, { tasks: [{ task: 'countdown', limit: 5 }] }))
  t.is(made.results[0]!.accuracy.mean, 0.8)
  const path = join(folder, 'countdown.jsonl')
  await writeFile(path, answers.map(one => `${JSON.stringify(one)}\n`).join(''))
  const read = await evaluate(await atServer(server.address, { tasks: [{ task: 'countdown', path }] }))
  t.is(read.results[0]!.accuracy.mean, 0.8)
})

test('GPQA: a file of its authors, its choices in an order of their own', async t => {
  const path = join(folder, 'gpqa_diamond.csv')
  const lines = Array.from(
    { length: 12 },
    (_, i) => `"Which, of ""all"", is ${i}?",right ${i},wrong ${i}a,wrong ${i}b,wrong ${i}c`,
  )
  const header = 'Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3'
  await writeFile(path, [header, ...lines].join('\n'))
  const server = await completionServer(t, ({ text }) => {
    const [, letter] = /\(([A-D])\) right/.exec(text)!
    return { content: `I think that A is wrong. The answer is (${letter}).` }
  })
  const config = await atServer(server.address, { tasks: [{ task: 'gpqa', path }] })
  t.is((await evaluate(config)).results[0]!.accuracy.mean, 1)
  const rows = await outputsOf(config)
  t.true(new Set(rows.map(({ answer }) => answer)).size > 1)
  t.regex(server.asked[0]!.text, /Which, of "all", is 0\?\n\n\(A\) .*\n\(B\) .*\n\(C\) .*\n\(D\) /)
})

test('known tasks from a file: columns by their usual names', async t => {
  const path = join(folder, 'math.jsonl')
  await writeFile(path, `${JSON.stringify({ problem: 'what is 1 + 2?', answer: '\\frac{6}{2}' })}\n`)
  const server = await completionServer(t, asked => ({ content: `\\boxed{${sumIn(asked)}}` }))
  const { results } = await evaluate(await atServer(server.address, { tasks: [{ task: 'math500', path }] }))
  t.like(results[0], { task: 'math500', questions: 1, withoutAnswer: 0 })
  t.is(results[0]!.accuracy.mean, 1)
})

test('a question that is too long, or that the server refuses, is a failure of its own and counts as wrong', async t => {
  const path = join(folder, 'long.jsonl')
  const long = { question: 'what is 1 + 2? '.repeat(60), answer: '3' }
  await writeFile(path, [long, rows[0]!].map(row => `${JSON.stringify(row)}\n`).join(''))
  const config = await tinyEvaluate({ tasks: [{ path, user: '{question}' }] })
  const { results } = await evaluate(config)
  t.is(results[0]!.failed, 0.5)
  t.regex(
    (await outputsOf(config))[0]!.samples[0]!.failure!,
    /prompt has \d+ tokens; the context of .* is 512/,
  )

  const server = await completionServer(t, asked =>
    asked.text.length > 500 ? { status: 400, message: 'too long' } : { content: '\\boxed{1}' },
  )
  const remote = await evaluate(await atServer(server.address, { tasks: [{ path, user: '{question}' }] }))
  t.like(remote.results[0], { failed: 0.5, tokens: null })
  t.is(remote.results[0]!.accuracy.mean, 0.5)
})

test('plain text for models without a chat template', async t => {
  const server = await completionServer(t, () => ({ content: '1' }))
  const models = [{ model: 'asked', server: server.address, requests: { api: 'completions' as const } }]
  await evaluate(
    await atServer(server.address, {
      models,
      tasks: [{ path: file, limit: 1, user: 'q: {question}\na:' }],
      prompt: { style: 'text', system: 'be brief.' },
    }),
  )
  t.is(server.asked[0]!.body.prompt, 'be brief.\n\nq: what is 0 + 1?\na:')
  const config = await tinyEvaluate({ prompt: { style: 'text' } })
  t.is((await evaluate(config)).results[0]!.questions, 7)
})

test('what cannot be run is refused before anything is loaded', async t => {
  const refused = async (changes: DeepPartial<EvaluateConfigInput>, message: RegExp) => {
    const config = await tinyEvaluate(changes)
    await t.throwsAsync(evaluate(config), { instanceOf: ConfigurationError, message })
  }
  await refused({ passAt: [4] }, /pass@4 takes 4 samples/)
  await refused({ sampling: { temperature: 0 } }, /all samples are the same/)
  await refused({ tasks: [{ task: 'gpqa' }] }, /gpqa_diamond\.csv/)
  await refused({ tasks: [{}] }, /expected task/)
  await refused({ tasks: [{ path: file }, { path: file }] }, /called questions\.jsonl too/)
  await refused({ models: [{ model }, { model }] }, /called .* too/)
  await refused({ tasks: [{ path: file, user: 'no question' }] }, /\{question\} once/)
  await refused(
    { models: [{ model: 'x', server: 'http://h/v1' }], prompt: { style: 'text' } },
    /expected completions/,
  )
})

test('a row without an answer is named with file and line', async t => {
  const path = join(folder, 'no-answer.jsonl')
  await writeFile(path, `${JSON.stringify(rows[0])}\n{"question": "and now?"}\n`)
  const error = await t.throwsAsync(evaluate(await tinyEvaluate({ tasks: [{ path }] })), {
    instanceOf: DataError,
  })
  t.true(error.message.includes(`${path}:2`))
  t.regex(error.message, /no column answer.*\n.*tasks\[0\]\.columns\.answer/)
})

test('as a stage of a pipeline, of what another stage made', async t => {
  const { output, ...config } = await tinyEvaluate({
    models: [{ model: '${stages.train.model}', dtype: 'float32' }],
  })
  const { output: _, ...training } = tinyConfig({ training: { steps: 1 } })
  const pipeline = {
    folder: output.folder,
    stages: {
      evaluate: { stage: 'evaluate', config },
      train: { stage: 'train', config: training },
    },
  }
  const first = await runPipeline(pipeline as PipelineConfigInput)
  t.true(first.finished)
  const summary = JSON.parse(await readFile(join(output.folder, 'evaluate', 'summary.json'), 'utf8'))
  t.like(summary.results[0], { task: 'questions.jsonl', questions: 7, samples: 3 })
  const again: string[] = []
  await runPipeline(pipeline as PipelineConfigInput, {
    onEvent: event => {
      if (event.type === 'start') again.push(event.name)
    },
  })
  t.deepEqual(again, [], 'what is complete is not done again')
})
