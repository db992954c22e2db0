import test from 'ava'
import { parseConfig, trainKind } from '../../lib/config/index.js'
import { ConfigurationError } from '../../lib/errors.js'

const base = { teacher: { model: 't' }, students: [{ model: 's' }], data: { train: { path: '/d.jsonl' } } }
const train = base.data.train

const impossible: [string, object, RegExp][] = [
  ['no students', { students: [] }, /students: .*there are none; expected at least one/],
  ['a group of one', { sampling: { completions: 1 } }, /^sampling\.completions: .*at least 2/],
  [
    'minibatches that do not divide a step',
    { algorithm: { minibatches: 3 }, training: { promptsPerStep: 16 } },
    /^algorithm\.minibatches: .*16.*3/,
  ],
  [
    'a single completion to compare with',
    { algorithm: { loss: 'reinforce++' }, sampling: { completions: 1 }, training: { promptsPerStep: 1 } },
    /^training\.promptsPerStep: .*at least 2/,
  ],
  [
    'leave-one-out advantages that are scaled',
    { algorithm: { loss: 'rloo', scaleAdvantages: true } },
    /^algorithm\.scaleAdvantages: .*rloo/,
  ],
  [
    'dynamic sampling where groups are not compared',
    { algorithm: { loss: 'reinforce++', dynamicSamplingRounds: 2 } },
    /^algorithm\.dynamicSamplingRounds: .*reinforce\+\+/,
  ],
  [
    'a divergence from no reference',
    { reference: { kind: 'none' } },
    /^reference\.kind: algorithm\.beta is 0\.04/,
  ],
  [
    'a blended reference that is never used',
    { reference: { kind: 'blended' }, algorithm: { beta: 0 } },
    /^reference\.kind: algorithm\.beta is 0/,
  ],
  [
    'a warm-up longer than the run',
    { optimizer: { warmupSteps: 11 }, training: { steps: 10 } },
    /^optimizer\.warmupSteps: .*training\.steps is 10/,
  ],
  [
    'a reward that is always the same',
    { reward: { understanding: { coefficient: 0 }, naturalness: { mean: 0, max: 0 } } },
    /^reward: every part has weight 0/,
  ],
  ['no data', { data: { train: {} } }, /^data\.train: expected one of path and hub, got neither/],
  ['two sources of data', { data: { train: { path: 'a', hub: 'b' } } }, /^data\.train: .*got both/],
  [
    'two kinds of held-out rows',
    { data: { train, heldOut: { rows: 2, hub: 'b' } } },
    /^data\.heldOut: .*rows and hub/,
  ],
  ['held-out rows from nowhere', { data: { train, heldOut: {} } }, /^data\.heldOut: .*got none/],
  [
    'held-out rows that are trained on',
    { data: { train, heldOut: train } },
    /^data\.heldOut: these rows are trained on/,
  ],
  [
    'held-out rows that overlap',
    { data: { train: { ...train, limit: 10 }, heldOut: { ...train, skip: 9 } } },
    /^data\.heldOut: these rows are trained on/,
  ],
  [
    'every row held out',
    { data: { train: { ...train, limit: 10 }, heldOut: { rows: 10 } } },
    /^data\.heldOut\.rows: no row is left/,
  ],
  [
    'nothing to evaluate on',
    { training: { evaluateEvery: 5 } },
    /^training\.evaluateEvery: there is nothing/,
  ],
  [
    'a teacher that is not told the solution',
    { format: { teacherAssistant: '' } },
    /teacher must be shown the solution/,
  ],
  [
    'a teacher shown the question twice',
    { format: { teacherUser: '{question} {question}' } },
    /got it 2 times/,
  ],
  [
    'a prompt that holds the explanation',
    { format: { teacherUser: '{question} {explanation}' } },
    /cannot be in its prompt/,
  ],
  [
    'a student that is not asked',
    { format: { studentUser: 'go' } },
    /^format\.studentUser: the student must be asked/,
  ],
  [
    'a student told the solution',
    { format: { studentUser: '{question} {solution}' } },
    /^format\.studentUser: .*\{solution\} belongs in studentAssistant/,
  ],
  [
    'an explanation after the solution',
    { format: { studentAssistant: '{solution} {explanation}' } },
    /and after it/,
  ],
  [
    'a mistyped placeholder',
    { format: { studentUser: '{qestion} {question}' } },
    /did you mean \{question\}/,
  ],
]

for (const [name, change, message] of impossible)
  test(`refused: ${name}`, t => {
    const error = t.throws(() => parseConfig(trainKind, { ...base, ...change }), {
      instanceOf: ConfigurationError,
    })
    t.true(
      error.message.split('\n').some(line => message.test(line)),
      error.message,
    )
  })

const possible: [string, object][] = [
  ['no divergence and no reference', { reference: { kind: 'none' }, algorithm: { beta: 0 } }],
  [
    'groups of one, compared with each other',
    { algorithm: { loss: 'reinforce++' }, sampling: { completions: 1 } },
  ],
  ['a warm-up as long as the run', { optimizer: { warmupSteps: 10 }, training: { steps: 10 } }],
  [
    'held-out rows beside those trained on',
    { data: { train: { ...train, limit: 10 }, heldOut: { ...train, skip: 10 } } },
  ],
  ['held-out rows of another split', { data: { train: { hub: 'a' }, heldOut: { hub: 'a', split: 'test' } } }],
  [
    'only a term of the user',
    {
      reward: {
        understanding: { coefficient: 0 },
        naturalness: { coefficient: 0 },
        terms: [{ module: 'm' }],
      },
    },
  ],
  ['braces of LaTeX', { format: { teacherUser: '{question} \\frac{a}{b} {x}' } }],
  ['tags', { format: { style: 'tags' } }],
  ['think', { format: { style: 'think' } }],
  ['plain', { format: { style: 'plain' } }],
]

for (const [name, change] of possible)
  test(`allowed: ${name}`, t => void t.notThrows(() => parseConfig(trainKind, { ...base, ...change })))

test('an unknown style is the one thing complained about', t => {
  const error = t.throws(() => parseConfig(trainKind, { ...base, format: { style: 'tgs' } }))
  t.is(error.message.split('\n').length, 2)
  t.regex(error.message, /did you mean tags\?/)
})
