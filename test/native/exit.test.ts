import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import test from 'ava'
import { modelFolder } from '../helpers/engine.js'

/** Runs a program that has `model` and `groups` at hand, and says how it ended. */
async function run(body: string) {
  const library = new URL('../../lib/engine/index.js', import.meta.url)
  const program = `
    import { Model, AdamW } from ${JSON.stringify(library.href)}
    const options = { dtype: 'float32', device: 'cpu', trainable: true }
    const model = await Model.load(${JSON.stringify(modelFolder('llama-tied'))}, options)
    const requests = [{ prefix: [3], samples: 64 }]
    const row = Array.from({ length: 200 }, (_, i) => 3 + i)
    const groups = [{ prefix: [3], suffixes: Array.from({ length: 40 }, () => row) }]
    ${body}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<{ code: number | null; signal: string | null }>(resolve =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  )
  const [stdout, stderr, end] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { ...end, stdout, stderr }
}

const quietly = (code: number, stdout = '') => ({ code, signal: null, stdout, stderr: '' })

test('process.exit() in the middle of sampling ends the process with its code', async t => {
  const body = `
    let tokens = 0
    await model.sample(requests, { maxNewTokens: 250, stop: [], onToken: () => ++tokens === 500 && process.exit(7) })
    console.log('not reached')`
  t.deepEqual(await run(body), quietly(7))
})

test('process.exit() while scoring and training runs ends the process with its code', async t => {
  for (const work of [
    'model.logProbs(groups, { tokenBudget: 1e6 })',
    "model.backward(groups, { kind: 'sft', weights: [groups[0].suffixes.map(s => new Float32Array(s.length).fill(1))] })",
    'new AdamW(model).step({ learningRate: 1e-3 })',
  ]) {
    t.deepEqual(await run(`${work}\nsetTimeout(() => process.exit(8), 5)`), quietly(8), work)
    t.deepEqual(await run(`${work}\nprocess.exit(9)`), quietly(9), work)
  }
})

test('an exception in the middle of sampling ends the process as exceptions do', async t => {
  const body = `
    model.sample(requests, { maxNewTokens: 250, stop: [] })
    setTimeout(() => { throw new Error('thrown in between') }, 5)`
  const { code, signal, stderr } = await run(body)
  t.deepEqual({ code, signal }, { code: 1, signal: null })
  t.regex(stderr, /thrown in between/)
})

test('a process ends by itself when its work is done, disposed of or not', async t => {
  const body = `
    const [group] = await model.sample(requests, { maxNewTokens: 3, stop: [] })
    console.log(group.suffixes.length)`
  t.deepEqual(await run(body), quietly(0, '64\n'))
  t.deepEqual(await run(`${body}\nmodel.dispose()`), quietly(0, '64\n'))
})

test('a worker that is ended in the middle of sampling takes nothing else with it', async t => {
  const library = new URL('../../lib/engine/index.js', import.meta.url)
  const worker = `
    import(${JSON.stringify(library.href)}).then(async ({ Model }) => {
      const model = await Model.load(${JSON.stringify(modelFolder('llama-tied'))}, { dtype: 'float32', device: 'cpu' })
      const { parentPort } = require('node:worker_threads')
      let told = false
      await model.sample([{ prefix: [3], samples: 64 }], {
        maxNewTokens: 250,
        stop: [],
        onToken: () => { if (!told) parentPort.postMessage('sampling'); told = true },
      })
    })`
  const body = `
    const { Worker } = await import('node:worker_threads')
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: [] })
    await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject) })
    await worker.terminate()
    const [group] = await model.sample(requests, { maxNewTokens: 3, stop: [] })
    console.log(group.suffixes.length)`
  t.deepEqual(await run(body), quietly(0, '64\n'))
})
