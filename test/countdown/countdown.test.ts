import test from 'ava'
import fc from 'fast-check'
import {
  checkCountdown,
  countdownProblem,
  extractCalculation,
  formatCalculation,
  gradeCountdown,
  parseCalculation,
  solveCountdown,
  valueOfCalculation,
  workedSolution,
} from '../../lib/countdown/index.js'
import { UsageError } from '../../lib/errors.js'

const seeds = fc.integer({ min: 0, max: 0xffffffff })
const places = fc.integer({ min: 0, max: 1_000_000 })

test('every problem is solved by its own solution, and within its ranges', t => {
  fc.assert(
    fc.property(seeds, places, (seed, place) => {
      const { numbers, target, solution, answer } = countdownProblem(seed, place)
      t.deepEqual(checkCountdown(answer, numbers, target), { correct: true })
      t.deepEqual(gradeCountdown(solution, numbers, target), { correct: true, extracted: answer })
      t.true(numbers.length >= 3 && numbers.length <= 6)
      t.true(numbers.every(number => number >= 1 && number <= 99))
      t.true(target >= 1 && target <= 999)
      t.false(numbers.includes(target))
    }),
    { seed: 1, numRuns: 500 },
  )
})

test('a problem is a function of seed and place', t => {
  t.deepEqual(countdownProblem(7, 3), countdownProblem(7, 3))
  const all = Array.from({ length: 200 }, (_, place) => JSON.stringify(countdownProblem(7, place)))
  t.is(new Set(all).size, 200)
  t.notDeepEqual(countdownProblem(7, 3), countdownProblem(8, 3))
})

test('all counts of numbers and all operations occur', t => {
  const problems = Array.from({ length: 400 }, (_, place) => countdownProblem(1, place))
  t.deepEqual([...new Set(problems.map(({ numbers }) => numbers.length))].sort(), [3, 4, 5, 6])
  for (const operator of '+-*/') t.true(problems.some(({ answer }) => answer.includes(` ${operator} `)))
})

test('the solver solves what has a solution, and its steps are right', t => {
  fc.assert(
    fc.property(seeds, places, (seed, place) => {
      const { numbers, target } = countdownProblem(seed, place, { mostNumbers: 5 })
      const found = solveCountdown(numbers, target)
      t.true(found !== undefined && checkCountdown(formatCalculation(found), numbers, target).correct)
      const lines = workedSolution(found!).split('\n')
      for (const step of lines.slice(0, -1)) {
        const [left, right] = step.split(' = ').map(side => valueOfCalculation(parseCalculation(side)))
        t.deepEqual(left, right)
      }
    }),
    { seed: 2, numRuns: 60 },
  )
})

test('six numbers are solved, with fractions on the way where it takes them', t => {
  const found = solveCountdown([75, 50, 2, 3, 8, 7], 812)
  t.true(checkCountdown(formatCalculation(found!), [75, 50, 2, 3, 8, 7], 812).correct)
  // The one solution is 8 / (3 - 8/3).
  t.is(formatCalculation(solveCountdown([3, 3, 8, 8], 24)!), '8 / (3 - 8 / 3)')
})

test('what has no solution has none', t => {
  t.is(solveCountdown([1, 1, 1], 50), undefined)
  t.is(solveCountdown([2, 4, 6], 1001), undefined)
})

test('a calculation is written and read again as the same tree', t => {
  const calculation = fc.letrec(tie => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.record({ kind: fc.constant('number' as const), value: fc.nat(99) }),
      fc.record({
        kind: fc.constant('operation' as const),
        operator: fc.constantFrom('+', '-', '*', '/'),
        left: tie('tree'),
        right: tie('tree'),
      }),
    ),
  })).tree as fc.Arbitrary<ReturnType<typeof parseCalculation>>
  fc.assert(
    fc.property(calculation, tree => {
      const text = formatCalculation(tree)
      if (text.length <= 500)
        t.deepEqual(JSON.parse(JSON.stringify(parseCalculation(text))), JSON.parse(JSON.stringify(tree)))
    }),
    { seed: 3 },
  )
})

for (const [what, calculation, reason] of [
  ['a number twice', '3 + 3 + 5 + 7', /uses 3, 3, 5, 7/],
  ['a number left out', '3 + 5', /uses 3, 5; given are 3, 5, 7/],
  ['a number that is not given', '3 + 5 + 8', /uses/],
  ['two numbers joined', '35 + 7', /uses 35, 7/],
  ['another value', '3 * 5 + 7', /comes to 22, not 15/],
  ['a fraction', '3 / 5 + 7', /comes to 38\/5/],
  ['a division by zero', '7 / (5 - 5)', /uses/],
  ['another right side', '3 + 5 + 7 = 16', /right side/],
  ['a power', '3 ** 5 + 7', /no calculation/],
  ['a call', 'eval("3+5+7")', /no calculation/],
  ['a decimal', '3.0 + 5 + 7', /no calculation/],
  ['nothing', '', /no calculation/],
  ['a bracket too many', '(3 + 5 + 7', /no calculation/],
] as const)
  test(`not right: ${what}`, t => {
    const check = checkCountdown(calculation, [3, 5, 7], 15)
    t.false(check.correct)
    t.regex(check.reason!, reason)
  })

test('right in any of the usual spellings', t => {
  for (const calculation of ['3 + 5 + 7', '(3+5)+7=15', '7+(5+3)', '\\left(3 + 5\\right) + 7', '{3+5}+7'])
    t.true(checkCountdown(calculation, [3, 5, 7], 15).correct, calculation)
  t.true(checkCountdown('6 \\times 4 \\div 2', [2, 4, 6], 12).correct)
  t.true(checkCountdown('\\frac{6}{2} × 4', [2, 4, 6], 12).correct)
  t.true(checkCountdown('1 / 3 * 3', [1, 3, 3], 1).correct)
})

test('where the calculation stands in a text', t => {
  t.is(extractCalculation('<think>1+2</think> <answer>(3+5)+7</answer>'), '(3+5)+7')
  t.is(extractCalculation('First \\boxed{1 + 2}, no: $\\boxed{\\frac{6}{2} + 1}$.'), '\\frac{6}{2} + 1')
  t.is(extractCalculation('We try.\nThe answer is: 3 + 5 + 7 = 15.'), '3 + 5 + 7 = 15')
  t.is(extractCalculation('3 + 5 = 8\n8 + 7 = 15\nThat is it'), '8 + 7 = 15')
  t.is(extractCalculation('I cannot'), null)
})

test('a long text is refused quickly', t => {
  const started = performance.now()
  for (const text of [
    '('.repeat(100_000),
    '1+'.repeat(100_000),
    '\\boxed{'.repeat(20_000),
    '<answer>'.repeat(20_000),
  ])
    t.false(gradeCountdown(text, [1, 2], 3).correct)
  t.true(performance.now() - started < 3000)
})

test('options that leave no problem', t => {
  t.throws(() => countdownProblem(0, 0, { mostNumbers: 9 }), {
    instanceOf: UsageError,
    message: /mostNumbers: expected .* 8/,
  })
  t.throws(() => countdownProblem(0, 0, { fewestNumbers: 5, mostNumbers: 4 }), { instanceOf: UsageError })
  t.throws(() => countdownProblem(0, 0, { largestNumber: 0 }), { instanceOf: UsageError })
})
