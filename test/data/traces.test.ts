import test from 'ava'
import { distillKind, parseConfig } from '../../lib/config/index.js'
import { traceOf } from '../../lib/data/index.js'
import { DataError } from '../../lib/errors.js'

const expected = { question: 'What is 2 + 3?', explanation: 'Count on.\n\nFive.', solution: 'It is 5.' }

function parse(values: Record<string, unknown>, columns: object = {}) {
  const config = parseConfig(distillKind, {
    student: { model: 'm' },
    data: { train: { path: 'd.jsonl', columns } },
  })
  const { origin, ...trace } = traceOf(
    { values, origin: 'd.jsonl:3' },
    config.data.train.columns,
    'data.train.columns',
  )
  return { ...trace, hasOrigin: origin === 'd.jsonl:3' }
}

const styles: Record<string, Record<string, unknown>> = {
  'the rows of rlt explain': { ...expected, reward: -3, parts: {}, rank: 1, tokens: 5, finish: 'stop' },
  "the columns of the paper's code": {
    question: expected.question,
    solution: expected.solution,
    reasoning_trace: expected.explanation,
  },
  'its prompt column, with the tags in the texts': {
    prompt: expected.question,
    solution: `<|begin_of_solution|>\n\n${expected.solution}\n\n<|end_of_solution|>`,
    reasoning_trace: `<|begin_of_thought|>\n\n${expected.explanation}\n\n<|end_of_thought|>`,
  },
  'a column with <think> tags': {
    problem: expected.question,
    solution: expected.solution,
    reasoning_trace: `<think>\n${expected.explanation}\n</think>\n`,
  },
  'Bespoke-Stratos: conversations with tags': {
    system: 'Your role as an assistant',
    conversations: [
      { from: 'user', value: expected.question },
      {
        from: 'assistant',
        value:
          `<|begin_of_thought|>\n\n${expected.explanation}\n\n<|end_of_thought|>\n\n` +
          `<|begin_of_solution|>\n\n${expected.solution}\n\n<|end_of_solution|>`,
      },
    ],
  },
  'messages with <think>, the solution after it': {
    messages: [
      { role: 'system', content: 'Think.' },
      { role: 'user', content: expected.question },
      { role: 'assistant', content: `<think>\n${expected.explanation}\n</think>\n\n${expected.solution}` },
    ],
  },
  'ShareGPT speakers, <answer> tags, the opening tag written by the chat template': {
    conversations: [
      { from: 'human', value: `${expected.question}\n` },
      { from: 'gpt', value: `${expected.explanation}\n</think>\n\n<answer> ${expected.solution} </answer>` },
    ],
  },
}

for (const [style, values] of Object.entries(styles))
  test(`recognised: ${style}`, t => {
    t.deepEqual(parse(values), { ...expected, hasOrigin: true })
  })

test('columns by other names, and between texts', t => {
  const values = {
    q: expected.question,
    output: { text: `<a>${expected.explanation}<b>${expected.solution}<c>` },
  }
  const between = (open: string, close: string) => ({ column: 'output.text', between: [open, close] })
  const columns = { question: 'q', explanation: between('<a>', '<b>'), solution: between('<b>', '<c>') }
  t.deepEqual(parse(values, columns), { ...expected, hasOrigin: true })
})

test('a conversation in a column of another name', t => {
  const { messages } = styles['messages with <think>, the solution after it']!
  t.like(parse({ chat: { turns: messages } }, { conversation: 'chat.turns' }), expected)
})

test('with both, the explanation column counts', t => {
  const { messages } = styles['messages with <think>, the solution after it']!
  t.is(parse({ ...expected, explanation: 'Otherwise.', messages }).explanation, 'Otherwise.')
})

const user = { role: 'user', content: 'why?' }
const faults: [string, Record<string, unknown>, RegExp][] = [
  [
    'no explanation',
    { question: 'q', solution: 's' },
    /d\.jsonl:3: there is no column explanation; .*question, solution/s,
  ],
  [
    'no solution',
    { question: 'q', explanation: 'e' },
    /no column solution[\s\S]*data\.train\.columns\.solution/,
  ],
  ['an empty explanation', { ...expected, explanation: ' \n' }, /column explanation is empty/],
  ['an explanation that is no text', { ...expected, explanation: ['e'] }, /holds a list; expected a text/],
  ['no assistant', { messages: [user] }, /d\.jsonl:3: column messages has no turn of the assistant/],
  ['no user', { messages: [{ role: 'assistant', content: 'x' }] }, /no turn of the user/],
  [
    'an answer without tags',
    { messages: [user, { role: 'assistant', content: 'because' }] },
    /does not tell explanation and solution apart; expected <\|begin_of_thought\|>…/,
  ],
  [
    'nothing after the thought',
    { messages: [user, { role: 'assistant', content: '<think>a</think>' }] },
    /the solution in the assistant's turn is empty/,
  ],
  [
    'an empty thought',
    { messages: [user, { role: 'assistant', content: '<think>\n\n</think>\n\nyes' }] },
    /the explanation in the assistant's turn is empty/,
  ],
]

for (const [fault, values, message] of faults)
  test(`named with its place: ${fault}`, t => {
    t.throws(() => parse(values), { instanceOf: DataError, message })
  })

test('a conversation that is no list', t => {
  const message = /column text holds no list; expected the turns of a conversation/
  t.throws(() => parse({ text: 'a' }, { conversation: 'text' }), { instanceOf: DataError, message })
})
