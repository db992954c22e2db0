import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ConfigurationError } from '../../lib/errors.js'
import { loadTerms, type TermInput } from '../../lib/rewards/index.js'

const folder = await mkdtemp(join(tmpdir(), 'rlt-reward-modules-'))

async function moduleFile(name: string, text: string): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, text)
  return file
}

const term = (module: string, options: Record<string, unknown> = {}, weight = 1) => ({
  module,
  weight,
  options,
})

const input: TermInput = {
  question: 'What is 2 + 3?',
  solution: 'It is 5.',
  answer: '5',
  explanation: 'Add them: 5.',
  tokens: Int32Array.of(1, 2, 3),
  teacherLogProbs: Float32Array.of(-1, -2, -3),
  students: [{ solutionLogProbs: Float32Array.of(-1), explanationLogProbs: Float32Array.of(-2, -2, -2) }],
}

test('a module in JavaScript', async t => {
  const file = await moduleFile(
    'short.js',
    'export function reward({ tokens }, { target }) { return -Math.abs(tokens.length - target) }',
  )
  const [short] = await loadTerms([term(file, { target: 10 }, 0.5)])
  t.is(short!.name, 'short')
  t.is(short!.weight, 0.5)
  t.is(await short!.value(input), -7)
})

test('a module in TypeScript, with types that must be taken out and one that must be compiled', async t => {
  const file = await moduleFile(
    'mentions.ts',
    `interface Options { bonus: number }
     enum Found { No, Yes }
     export async function reward({ explanation, answer }: { explanation: string; answer: string | null }, { bonus }: Options): Promise<number> {
       const found: Found = answer !== null && explanation.includes(answer) ? Found.Yes : Found.No
       return found === Found.Yes ? bonus : 0
     }`,
  )
  const [mentions] = await loadTerms([term(file, { bonus: 2 })])
  t.is(await mentions!.value(input), 2)
  t.is(await mentions!.value({ ...input, answer: '6' }), 0)
})

test('a module may import what lies beside it', async t => {
  await moduleFile('length.ts', 'export const length = (text: string): number => text.length')
  const file = await moduleFile(
    'importing.ts',
    `import { length } from './length.ts'
     export const reward = ({ explanation }: { explanation: string }) => length(explanation)`,
  )
  const [importing] = await loadTerms([term(file)])
  t.is(await importing!.value(input), input.explanation.length)
})

test('terms of one name are told apart, and no term takes the name of a part of the teacher reward', async t => {
  const text = 'export const reward = () => 1'
  const same = await moduleFile('same.js', text)
  const part = await moduleFile('understanding.js', text)
  const names = (await loadTerms([term(same), term(same), term(part)])).map(({ name }) => name)
  t.is(new Set(names).size, 3)
  t.false(names.includes('understanding'))
})

test('NaN is a value: the completion is left out of its group', async t => {
  const file = await moduleFile('nan.js', 'export const reward = () => Number.NaN')
  const [nan] = await loadTerms([term(file)])
  t.is(await nan!.value(input), Number.NaN)
})

for (const [fault, name, text, said] of [
  ['is broken', 'broken.ts', 'export function reward( {', /broken\.ts cannot be loaded/],
  ['throws when it is loaded', 'throws.js', "throw new Error('no dictionary')", /no dictionary/],
  [
    'exports nothing',
    'nothing.js',
    'const reward = () => 1; export {}',
    /exports nothing; expected a function named reward/,
  ],
  [
    'exports another name',
    'typo.js',
    'export const rewards = () => 1',
    /exports rewards; .*is rewards meant/,
  ],
  ['exports no function', 'number.js', 'export const reward = 1', /expected a function named reward/],
] as const)
  test(`a module that ${fault} is refused before the run begins`, async t => {
    const file = await moduleFile(name, text)
    const error = await t.throwsAsync(loadTerms([term(file)]), { instanceOf: ConfigurationError })
    t.true(error.message.includes(file))
    t.regex(error.message, said)
  })

test('a module that is not there', async t => {
  for (const module of [join(folder, 'absent.js'), join(folder, 'absent.ts'), 'no-such-package-of-rewards']) {
    const error = await t.throwsAsync(loadTerms([term(module)]), { instanceOf: ConfigurationError })
    t.true(error.message.includes(module))
  }
})

for (const [fault, text, said] of [
  ['throws', "export const reward = () => { throw new Error('out of words') }", /failed: out of words/],
  [
    'rejects',
    "export const reward = async () => { throw new Error('out of words') }",
    /failed: out of words/,
  ],
  ['returns a text', "export const reward = () => '1'", /returned a string; expected a number/],
  ['returns nothing', 'export const reward = () => {}', /returned a undefined; expected a number/],
  ['returns null', 'export const reward = () => null', /returned null; expected a number/],
] as const)
  test(`a term that ${fault} is an error that names its module`, async t => {
    const file = await moduleFile(`that-${fault.replaceAll(' ', '-')}.js`, text)
    const [faulty] = await loadTerms([term(file)])
    const error = await t.throwsAsync(faulty!.value(input), { instanceOf: ConfigurationError })
    t.true(error.message.includes(file))
    t.regex(error.message, said)
  })
