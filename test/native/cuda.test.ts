/** What can be known of the CUDA kernels without a GPU: that they compile, and that their arithmetic is right. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'

const run = promisify(execFile)

test('the arithmetic of the CUDA kernels agrees with the formulas in fp64', async t => {
  const folder = await mkdtemp(path.join(tmpdir(), 'rlt-cuda-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const program = path.join(folder, 'arithmetic')
  const compiler = process.env.CXX ?? 'c++'
  await run(compiler, ['-std=c++20', '-O1', '-I.', 'test/native/cuda/arithmetic.cpp', '-o', program])
  await t.notThrowsAsync(run(program))
})

const onLinux = process.platform === 'linux' ? test : test.skip
onLinux('every CUDA kernel compiles', async t => {
  t.timeout(540_000)
  const { code, stdout, stderr } = await run(process.execPath, ['scripts/cuda-check.mjs']).then(
    result => ({ code: 0, ...result }),
    error => error,
  )
  // Without a network and without a compiler there is nothing to check; in CI there must be one.
  if (code === 3 && !process.env.CI) {
    t.log(`Not compiled: no CUDA compiler could be had. ${stderr}`)
    t.pass()
    return
  }
  t.is(code, 0, stderr)
  t.regex(stdout, /Compiled for sm_80 and sm_90, not run: .*layer\.cu/)
})
