/**
 * Each operation of the engine, and the plain statement of it that other devices run, beside the exact result: fp64,
 * gradients by LibTorch's autograd of the forward formula written out. Tolerances and their reasons are in
 * lib/bench/verification.ts. What whole models give is held against transformers elsewhere.
 */
import test from 'ava'
import { judge, oddSizes, toleranceOf, verifyAt } from '../../lib/bench/verification.js'
import { kernelOperations, timeKernel, verifyKernel } from '../../lib/engine/benchmark.js'

const dtypes = ['float32', 'bfloat16'] as const

for (const { name } of kernelOperations())
  for (const dtype of dtypes)
    test(`${name} in ${dtype} gives the exact result within rounding, at odd sizes`, async t => {
      const sizes = oddSizes.filter(size => size.name === name)
      t.true(sizes.length >= 4)
      for (const size of sizes)
        for (const found of await verifyAt(size, { dtype, device: 'cpu' }))
          t.true(
            found.passed,
            `${found.side}, ${found.output}, ${JSON.stringify(size.sizes)}: off by ${found.typical} typically, ${found.worst} at worst`,
          )
    })

test('kernels verify at sizes of a real model', async t => {
  const sizes = { tokens: 64, in: 576, out: 1536 }
  for (const name of ['linear', 'linear-backward-input', 'linear-backward-weight'])
    for (const found of await verifyAt({ name, sizes }, { dtype: 'bfloat16', device: 'cpu' }))
      t.true(found.passed, `${name}: ${found.typical}, ${found.worst}`)
})

test('a bfloat16 result does not pass for a float32 one, and a wrong one for neither', async t => {
  const size = { name: 'linear', sizes: { tokens: 17, in: 101, out: 83 } }
  const rounded = await verifyKernel(size.name, size.sizes, { dtype: 'bfloat16', device: 'cpu' })
  t.true(judge(size, 'bfloat16', rounded).every(({ passed }) => passed))
  t.false(judge(size, 'float32', rounded).some(({ passed }) => passed))
  const { worst } = toleranceOf('linear', 'bfloat16')
  const wrong = { ...rounded, kernel: [{ output: 'y', typical: 0, worst: 2 * worst, largest: 1 }] }
  t.deepEqual(
    judge(size, 'bfloat16', wrong).map(({ side, passed }) => [side, passed]),
    [
      ['kernel', false],
      ['plain', true],
    ],
  )
  t.false(
    judge(size, 'float32', {
      ...rounded,
      kernel: [{ output: 'y', typical: Infinity, worst: Infinity, largest: Infinity }],
    })[0]!.passed,
  )
})

test('sizes, operations and efforts that are none are refused', async t => {
  const setting = { dtype: 'float32', device: 'cpu' } as const
  const refused = async (name: string, sizes: Record<string, number>, message: RegExp) => {
    await t.throwsAsync(verifyKernel(name, sizes, setting), { code: 'ERR_ARGUMENT', message })
  }
  await refused('lineal', {}, /no operation named 'lineal'/)
  await refused('linear', { tokens: 1, in: 1 }, /there is no out/)
  await refused('linear', { tokens: 1, in: 1, out: 1, width: 1 }, /no others/)
  await refused('linear', { tokens: 0, in: 1, out: 1 }, /tokens is 0/)
  await refused('linear', { tokens: -1, in: 1, out: 1 }, /sizes\.tokens/)
  const heads = { groups: 1, suffixes: 1, headSize: 64 }
  await refused(
    'group-attention',
    { ...heads, prefix: 0, suffix: 0, heads: 1, keyValueHeads: 1 },
    /both empty/,
  )
  await refused('group-attention', { ...heads, prefix: 1, suffix: 1, heads: 3, keyValueHeads: 2 }, /multiple/)
  await t.throwsAsync(
    timeKernel('linear', { tokens: 1, in: 1, out: 1 }, { ...setting, seconds: Number.NaN, repetitions: 1 }),
    { code: 'ERR_ARGUMENT' },
  )
})

test('both sides are timed as often as asked, and a call can be aborted', async t => {
  const setting = { dtype: 'float32', device: 'cpu' } as const
  const sizes = { tokens: 8, width: 64 }
  const { kernel, plain, operations, bytes } = await timeKernel('swiglu', sizes, {
    ...setting,
    ...{ seconds: 0, repetitions: 7 },
  })
  t.true(kernel.length >= 7 && plain.length >= 7)
  t.true([...kernel, ...plain].every(seconds => seconds > 0 && seconds < 1))
  t.is(bytes, 8 * 64 * 3 * 4)
  t.true(operations > 0)
  const controller = new AbortController()
  const long = timeKernel('swiglu', sizes, {
    ...setting,
    ...{ seconds: 60, repetitions: 10_000, signal: controller.signal },
  })
  controller.abort()
  await t.throwsAsync(long, { name: 'AbortError' })
})
