import test from 'ava'
import { countdownProblem, readCountdownQuestion } from '../../lib/countdown/index.js'
import { ConfigurationError } from '../../lib/errors.js'
import { loadTerms, type TermInput } from '../../lib/rewards/index.js'

const input: TermInput = {
  question: 'What is 2 + 3?',
  solution: 'Add them. The answer is \\boxed{5}.',
  answer: '5',
  explanation: 'It is \\boxed{5}.',
  ...{ tokens: Int32Array.of(), teacherLogProbs: Float32Array.of(), students: [] },
}

async function valueWith(
  changes: Partial<TermInput>,
  options: Record<string, unknown> = {},
): Promise<number> {
  const [term] = await loadTerms([{ module: 'correctness', weight: 1, options }])
  return term!.value({ ...input, ...changes })
}

test('the term is called correctness', async t => {
  const [term] = await loadTerms([{ module: 'correctness', weight: 2, options: {} }])
  t.like(term, { name: 'correctness', weight: 2 })
})

test('1 for the right answer, else 0, or what the options say', async t => {
  t.is(await valueWith({}), 1)
  t.is(await valueWith({ explanation: 'It is \\frac{10}{2}: \\boxed{\\frac{10}{2}}' }), 1)
  t.is(await valueWith({ explanation: 'It is 6.' }), 0)
  t.is(await valueWith({ explanation: '' }), 0)
  t.is(await valueWith({ explanation: 'It is 6.' }, { right: 2, wrong: -0.5 }), -0.5)
  t.is(await valueWith({}, { right: 2, wrong: -0.5 }), 2)
})

test('without a column of answers, the box in the solution is the answer', async t => {
  t.is(await valueWith({ answer: null }), 1)
  t.is(await valueWith({ answer: null, explanation: '\\boxed{6}' }), 0)
})

test('thoughts do not count, the solution behind them does', async t => {
  const thought = (solution: string) =>
    `Is it 6? \\boxed{6}<|end_of_thought|>\n\n<|begin_of_solution|>\n\n${solution}`
  t.is(await valueWith({ explanation: thought('5') }), 1)
  t.is(await valueWith({ explanation: thought('6') }), 0)
})

test('choices and countdown', async t => {
  t.is(await valueWith({ answer: 'B', explanation: 'The answer is (B).' }, { kind: 'choice' }), 1)
  for (let place = 0; place < 50; place++) {
    const { question, solution, answer, numbers, target } = countdownProblem(3, place)
    t.deepEqual(readCountdownQuestion(question), { numbers, target })
    const row = { question, solution, answer }
    t.is(await valueWith({ ...row, explanation: solution }, { kind: 'countdown' }), 1)
    t.is(await valueWith({ ...row, explanation: `\\boxed{${target}}` }, { kind: 'countdown' }), 0)
  }
})

test('options that are none, and a question that is no countdown problem', async t => {
  for (const [options, message] of [
    [{ kind: 'essay' }, /expected math, choice or countdown, got "essay"/],
    [{ right: 'yes' }, /right and wrong: expected numbers/],
    [{ rihgt: 1 }, /no option rihgt/],
    [{ kind: 'countdown' }, /no countdown problem/],
  ] as const)
    await t.throwsAsync(valueWith({}, options), { instanceOf: ConfigurationError, message })
})
