import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { modelFolder } from '../helpers/engine.js'
import { adapterFolder, readLoraFigures } from '../helpers/lora.js'
import { rlt } from './run-rlt.js'

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rlt-adapter-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('convert merges an adapter, and logprobs gives the same beside the weights and merged into them', async t => {
  const folder = await temporaryFolder(t)
  const merged = join(folder, 'merged')
  const [base, adapter] = [modelFolder('llama-tied'), adapterFolder('llama-tied')]
  const converted = await rlt(['convert', base, merged, '--adapter', adapter, '--json'])
  t.is(converted.code, 0, converted.stderr)
  t.deepEqual(JSON.parse(converted.stdout), { folder: merged, dtype: 'float32' })
  t.false((await readdir(merged)).some(name => name.startsWith('adapter')))

  const { groups, logProbs } = await readLoraFigures('llama-tied')
  const { prefix, suffixes } = groups[0]!
  const input = join(folder, 'input.jsonl')
  await writeFile(input, suffixes.map(suffix => `${JSON.stringify({ prefix, suffix })}\n`).join(''))
  const options = ['--input', input, '--dtype', 'float32', '--device', 'cpu', '--json']
  for (const model of [[base, '--adapter', adapter], [merged]]) {
    const { code, stdout, stderr } = await rlt(['logprobs', '--model', ...model, ...options])
    t.is(code, 0, stderr)
    const lines = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { logprobs: number[] })
    t.is(lines.length, suffixes.length)
    for (const [s, { logprobs }] of lines.entries())
      for (const [i, value] of logprobs.entries()) t.true(Math.abs(value - logProbs[0]![s]![i]!) < 1e-4) // PEFT's, in fp32
  }
})

test('an adapter that is none, or of another model, is named', async t => {
  const folder = await temporaryFolder(t)
  const generate = (adapter: string) =>
    rlt(['generate', '--model', modelFolder('llama-tied'), '--adapter', adapter, '--prompt', 'a', '--json'])
  const none = await generate(folder)
  t.is(none.code, 1)
  t.regex(none.stderr, /adapter_config\.json does not exist/)
  const other = await generate(adapterFolder('qwen3'))
  t.is(other.code, 1)
  t.regex(other.stderr, /adapter_model\.safetensors: .*another model/)
})
