import { spawn } from 'node:child_process'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test, { type ExecutionContext } from 'ava'
import { AdamW, EngineError, Model, ModelError } from '../../lib/index.js'
import { safetensorsHeader } from '../../lib/models/index.js'
import { packageRoot } from '../../lib/packageRoot.js'
import {
  architectures,
  largestDifference,
  loadTiny,
  lossOf,
  modelFolder,
  parameterNames,
  temporaryFolder,
} from '../helpers/engine.js'
import { adapterFolder, loadAdapted, readAdapters, readLoraFigures } from '../helpers/lora.js'

async function loadFolder(t: ExecutionContext, folder: string): Promise<Model> {
  const model = await Model.load(folder, { dtype: 'float32', device: 'cpu' })
  t.teardown(() => model.dispose())
  return model
}

/** Trains a little, so that what is saved is not what was read. */
async function trained(
  t: ExecutionContext,
  model: Model,
  name: 'llama-tied' | (typeof architectures)[number],
) {
  const { groups, sft } = await readLoraFigures(name)
  const optimizer = new AdamW(model)
  t.teardown(() => optimizer.dispose())
  await model.backward(groups, lossOf(sft))
  await optimizer.step({ learningRate: 1e-2 })
}

for (const name of architectures) {
  test(`${name}: adapters that are saved and loaded are the same to the bit`, async t => {
    const model = await loadAdapted(t, name, { trainable: true })
    await trained(t, model, name)
    const folder = await temporaryFolder(t)
    await model.saveAdapter(folder, 'org/base')
    t.deepEqual((await readdir(folder)).toSorted(), ['adapter_config.json', 'adapter_model.safetensors'])
    const config = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'))
    const theirs = JSON.parse(await readFile(join(adapterFolder(name), 'adapter_config.json'), 'utf8'))
    t.is(config.base_model_name_or_path, 'org/base')
    for (const field of ['peft_type', 'task_type', 'r', 'lora_alpha', 'use_rslora', 'bias', 'lora_dropout'])
      t.is(config[field], theirs[field], field)
    t.deepEqual(config.target_modules.toSorted(), theirs.target_modules.toSorted())

    const again = await loadTiny(t, name, { adapter: folder })
    t.deepEqual(again.lora, model.lora)
    t.deepEqual(await readAdapters(again), await readAdapters(model))
    const { groups } = await readLoraFigures(name)
    t.deepEqual(await again.logProbs(groups), await model.logProbs(groups))
  })

  test(`${name}: merged weights give what PEFT's do, and what the adapters beside them do`, async t => {
    const model = await loadAdapted(t, name)
    const folder = await temporaryFolder(t)
    await model.save(folder)
    const merged = await loadFolder(t, folder)
    t.is(merged.lora, undefined)
    const { groups, mergedLogProbs } = await readLoraFigures(name)
    const values = await merged.logProbs(groups)
    // Sums in another order, in fp32.
    t.true(largestDifference(t, values, mergedLogProbs) < 1e-4)
    t.true(largestDifference(t, values, await model.logProbs(groups)) < 1e-4)
    // Another model takes the merged weights, half or whole.
    const base = await loadTiny(t, name)
    const half = await loadTiny(t, name)
    await half.copyParametersFrom(model, 0.5)
    await base.copyParametersFrom(model)
    for (const tensor of parameterNames(model)) {
      const before = await model.readParameter(tensor)
      const after = await merged.readParameter(tensor)
      t.deepEqual(await base.readParameter(tensor), after, tensor)
      const middle = before.map((value, i) => (value + after[i]!) / 2)
      t.true(largestDifference(t, [[await half.readParameter(tensor)]], [[middle]]) < 1e-6, tensor)
    }
  })

  const python = process.env.RLT_TEST_PYTHON
  test(`${name}: PEFT loads adapters that were saved`, async t => {
    if (!python) {
      t.log('skipped: RLT_TEST_PYTHON names no Python with torch, transformers and peft')
      t.pass()
      return
    }
    const model = await loadAdapted(t, name, { trainable: true })
    await trained(t, model, name)
    const folder = await temporaryFolder(t)
    await model.saveAdapter(folder)
    const { groups } = await readLoraFigures(name)
    const logProbs = (await model.logProbs(groups)).map(group => group.map(suffix => [...suffix]))
    const script = join(packageRoot(), 'scripts/fixtures/engine/check_adapter.py')
    const child = spawn(python, ['-B', script, modelFolder(name), folder], {
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    const ended = new Promise(resolve => child.on('close', resolve))
    child.stdin.end(JSON.stringify({ groups, logProbs, tolerance: 1e-4 }))
    const complaint = await text(child.stderr)
    t.is(await ended, 0, complaint)
  })
}

test('training that is saved and taken up goes on to the bit', async t => {
  const { groups, sft } = await readLoraFigures('qwen2')
  const norms = async (model: Model, optimizer: AdamW, steps: number) => {
    const seen: number[] = []
    for (let step = 0; step < steps; step++) {
      await model.backward(groups, lossOf(sft))
      seen.push((await optimizer.step({ learningRate: 1e-2, maxGradNorm: 1 })).gradNorm)
    }
    return seen
  }
  for (const dtype of ['float32', 'bfloat16'] as const) {
    const folder = await temporaryFolder(t)
    const model = await loadTiny(t, 'qwen2', { dtype, lora: { rank: 4, seed: 9 } })
    const optimizer = new AdamW(model)
    t.teardown(() => optimizer.dispose())
    await norms(model, optimizer, 3)
    await model.saveAdapter(folder)
    await optimizer.save(join(folder, 'optimizer.safetensors'))

    const resumed = await loadTiny(t, 'qwen2', { dtype, adapter: folder, trainable: true })
    const resumedOptimizer = new AdamW(resumed)
    t.teardown(() => resumedOptimizer.dispose())
    await resumedOptimizer.load(join(folder, 'optimizer.safetensors'))
    t.deepEqual(await norms(resumed, resumedOptimizer, 3), await norms(model, optimizer, 3), dtype)
    t.deepEqual(await readAdapters(resumed), await readAdapters(model), dtype)
  }
})

async function changed(t: ExecutionContext, change: Record<string, unknown>): Promise<string> {
  const folder = await temporaryFolder(t)
  await cp(adapterFolder('llama-tied'), folder, { recursive: true })
  const file = join(folder, 'adapter_config.json')
  const config = JSON.parse(await readFile(file, 'utf8'))
  await writeFile(file, JSON.stringify({ ...config, ...change }))
  return folder
}

test('adapters of another base, or of another kind, are refused', async t => {
  const refused = async (adapter: string, message: RegExp) => {
    const error = await t.throwsAsync(loadTiny(t, 'llama-tied', { adapter }), { instanceOf: ModelError })
    t.regex(error!.message, message)
  }
  await refused(adapterFolder('qwen2'), /q_proj\.lora_A\.weight has shape \[8,48\].*\[8,64\].*another model/)
  await refused(await changed(t, { r: 2 }), /shape \[4,64\], but by rank 2.*\[2,64\]/)
  await refused(await changed(t, { r: 0 }), /adapter_config\.json: r: expected.*at least 1, got 0/)
  await refused(await changed(t, { peft_type: 'IA3' }), /peft_type: expected "LORA", got "IA3"/)
  await refused(await changed(t, { use_dora: true }), /use_dora/)
  await refused(await changed(t, { init_lora_weights: 'pissa' }), /init_lora_weights.*"pissa"/)
  await refused(await changed(t, { rank_pattern: { q_proj: 2 } }), /rank_pattern/)
  await refused(await changed(t, { modules_to_save: ['lm_head'] }), /modules_to_save/)
  await refused(await temporaryFolder(t), /adapter_config\.json does not exist/)

  const written = async (tensors: { name: string; shape: number[] }[]) => {
    const folder = await changed(t, {})
    const { header, byteLength } = safetensorsHeader(
      tensors.map(entry => ({ ...entry, dtype: 'F32' as const })),
    )
    const file = new Uint8Array(byteLength)
    file.set(header)
    await writeFile(join(folder, 'adapter_model.safetensors'), file)
    return folder
  }
  const stem = 'base_model.model.model.layers.'
  await refused(await written([]), /holds no tensors/)
  await refused(
    await written([{ name: 'base_model.model.lm_head.lora_A.weight', shape: [4, 64] }]),
    /lm_head.*not supported/,
  )
  await refused(
    await written([{ name: `${stem}7.self_attn.q_proj.lora_A.weight`, shape: [4, 64] }]),
    /layers\.7.*2 layers/,
  )
  await refused(
    await written([{ name: `${stem}0.self_attn.q_proj.lora_A.weight`, shape: [4, 64] }]),
    /lora_B\.weight is missing/,
  )
  await refused(await written([{ name: `${stem}0.mlp.q_proj.lora_A.weight`, shape: [4, 64] }]), /mlp\.q_proj/)

  await t.throwsAsync(
    loadTiny(t, 'llama-tied', { adapter: adapterFolder('llama-tied'), lora: { rank: 2 } }),
    {
      instanceOf: EngineError,
      message: /got both/,
    },
  )
})
