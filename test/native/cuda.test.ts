/**
 * What can be known of the CUDA kernels without a GPU: that they compile, and that what they compute, a block of threads
 * after another on the host, is right. Launches, and all that a device does by itself, are not run by any test here.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'

const run = promisify(execFile)

/** Programs in test/native/cuda, and what of the engine each is linked with. */
const programs = {
  arithmetic: [],
  layer: [],
  vocabulary: [],
  adamw: ['native/training/dynamic_codes.cpp'],
  decode_attention: ['native/kernels/cpu/vector_kernels.portable.cpp'],
  choose_token: [],
}

for (const [name, sources] of Object.entries(programs))
  test(`the CUDA kernels give the exact result within rounding on the host: ${name}`, async t => {
    const folder = await mkdtemp(path.join(tmpdir(), 'rlt-cuda-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const program = path.join(folder, name)
    const compiler = process.env.CXX ?? 'c++'
    const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
    const all = [`test/native/cuda/${name}.cpp`, ...sources]
    await run(compiler, ['-std=c++20', '-O2', '-w', ...sanitizers, '-I.', ...all, '-o', program])
    const { code, stdout, stderr } = await run(program).then(
      result => ({ code: 0, ...result }),
      error => error,
    )
    t.is(code, 0, `${stdout}${stderr}`)
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
  t.regex(stdout, /Compiled for .*, not run: .*choose_token\.cu, decode_attention\.cu, .*layer\.cu/)
})
