import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { addon } from '../../lib/engine/addon.js'
import { Model } from '../../lib/engine/index.js'
import { packageRoot } from '../../lib/packageRoot.js'

// Written by scripts/fixtures/gguf_files.py: stored blocks with the values that gguf-py decodes from them, and tiny
// models with transformers' log-probabilities.
const fixtures = path.join(packageRoot(), 'test/fixtures/gguf')

interface Tensor {
  data_offsets: [number, number]
}

async function readBlocks(): Promise<Map<string, Uint8Array>> {
  const file = await readFile(path.join(fixtures, 'blocks.safetensors'))
  const start = 8 + Number(file.readBigUInt64LE(0))
  const header: Record<string, Tensor> = JSON.parse(file.toString('utf8', 8, start))
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          data_offsets: [from, to],
        },
      ]) => [name, file.subarray(start + from, start + to)],
    ),
  )
}

for (const type of ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q4_K', 'Q5_K', 'Q6_K']) {
  test(`${type} blocks decode bit for bit as gguf-py decodes them`, async t => {
    const tensors = await readBlocks()
    const blocks = tensors.get(`${type}.blocks`) as Uint8Array
    const expected = new Float32Array(Uint8Array.from(tensors.get(`${type}.values`) as Uint8Array).buffer)
    const values = addon().dequantise(type, blocks, expected.length)
    t.is(values.length, expected.length)
    // Object.is tells -0 from 0 and holds NaN equal to NaN.
    const different = values.findIndex((value, i) => !Object.is(value, expected[i]))
    t.is(different, -1, `value ${different} is ${values[different]}, expected ${expected[different]}`)
  })
}

test('blocks that are cut short, and unknown types, are refused by name', t => {
  const short = t.throws(() => addon().dequantise('Q4_K', new Uint8Array(143), 256))
  t.like(short, { code: 'ERR_ARGUMENT' })
  t.regex(short?.message ?? '', /Q4_K.*144 bytes.*143/)
  t.like(
    t.throws(() => addon().dequantise('Q8_0', new Uint8Array(34), 40)),
    { code: 'ERR_ARGUMENT' },
  )
  const unknown = t.throws(() => addon().dequantise('IQ2_XS', new Uint8Array(74), 256))
  t.like(unknown, { code: 'ERR_MODEL_FILE' })
  t.regex(unknown?.message ?? '', /IQ2_XS.*Q6_K/)
})

interface Reference {
  tokens: number[]
  logProbs: number[]
}

async function references(architecture: string): Promise<Reference[]> {
  return JSON.parse(await readFile(path.join(fixtures, 'logprobs.json'), 'utf8'))[architecture]
}

const inFloat32 = { dtype: 'float32', device: 'cpu' } as const

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'rlt-gguf-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return folder
}

/** The log-probabilities of each reference's tokens after its first. */
async function score(modelPath: string, references: Reference[]): Promise<Float32Array[]> {
  const model = await Model.load(modelPath, inFloat32)
  try {
    const groups = references.map(({ tokens }) => ({
      prefix: tokens.slice(0, 1),
      suffixes: [tokens.slice(1)],
    }))
    return (await model.logProbs(groups)).flat()
  } finally {
    model.dispose()
  }
}

for (const architecture of ['llama', 'qwen2', 'qwen3']) {
  const file = path.join(fixtures, `${architecture}.gguf`)

  test(`a ${architecture} GGUF gives the log-probabilities of the model it was made from`, async t => {
    const expected = await references(architecture)
    const scores = await score(file, expected)
    for (const [i, { logProbs }] of expected.entries()) {
      t.is(scores[i].length, logProbs.length)
      // Both sides are float32 with sums in another order; rows in llama.cpp's order would differ by more than 1.
      for (const [j, value] of logProbs.entries()) {
        t.true(
          Math.abs(scores[i][j] - value) < 1e-4,
          `sequence ${i}, token ${j + 1}: ${scores[i][j]}, not ${value}`,
        )
      }
    }
  })

  test(`a ${architecture} GGUF saved as a Hugging Face folder is the same model`, async t => {
    const folder = await temporaryFolder(t)
    const model = await Model.load(file, inFloat32)
    await model.save(folder)
    model.dispose()
    const sequences = await references(architecture)
    t.deepEqual(await score(folder, sequences), await score(file, sequences))
  })
}

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux('a full disk is reported with the file, and nothing half-written stays', async t => {
  const folder = await temporaryFolder(t)
  // The device that every write to fails on as on a full disk.
  await symlink('/dev/full', path.join(folder, 'model.safetensors.partial'))
  const model = await Model.load(path.join(fixtures, 'qwen2.gguf'), inFloat32)
  t.teardown(() => model.dispose())
  const error = await t.throwsAsync(model.save(folder))
  t.like(error, { code: 'ERR_MODEL_FILE' })
  t.regex(error?.message ?? '', /model\.safetensors\.partial: .*No space left on device/)
  t.deepEqual(await readdir(folder), [])
})

test('a GGUF file cut short is refused, and the message names it', async t => {
  const file = path.join(await temporaryFolder(t), 'cut.gguf')
  const whole = await readFile(path.join(fixtures, 'llama.gguf'))
  await writeFile(file, whole.subarray(0, whole.length - 4096))
  const error = await t.throwsAsync(Model.load(file, inFloat32))
  t.true(error?.message.includes('cut.gguf'), error?.message)
})
