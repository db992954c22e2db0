import test from 'ava'
import { parseConfig, trainKind } from '../../lib/config/index.js'
import { ConfigurationError } from '../../lib/errors.js'

const parse = (lora: unknown) =>
  parseConfig(trainKind, {
    teacher: { model: 't', lora },
    students: [{ model: 's' }],
    data: { train: { path: '/d.jsonl' } },
  } as never).teacher.lora

test('adapters are off unless asked for, and then of all projections', t => {
  t.is(parse(undefined), null)
  t.is(parse(null), null)
  t.deepEqual(parse({}), {
    rank: 16,
    alpha: null,
    targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    rankStabilised: false,
  })
})

for (const [what, lora, message] of [
  ['rank 0', { rank: 0 }, /teacher\.lora\.rank: .*at least 1/],
  ['alpha 0', { alpha: 0 }, /teacher\.lora\.alpha/],
  ['no targets', { targets: [] }, /teacher\.lora\.targets: .*at least 1/],
  ['an unknown target', { targets: ['query'] }, /teacher\.lora\.targets\[0\]: .*q_proj/],
  ['a target twice', { targets: ['q_proj', 'q_proj'] }, /teacher\.lora\.targets: q_proj is listed twice/],
  ['an unknown option', { dropout: 0.1 }, /teacher\.lora.*dropout/],
] as const)
  test(`${what} is refused`, t => {
    t.throws(() => parse(lora), { instanceOf: ConfigurationError, message })
  })
