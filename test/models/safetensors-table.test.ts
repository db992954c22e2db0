import { mkdir, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { ModelError } from '../../lib/errors.js'
import { readSafetensorsFile, readWeightTable, safetensorsHeader } from '../../lib/models/index.js'
import {
  type StoredTensor,
  tableOf,
  temporaryFolder,
  tinyConfig,
  tinyShapes,
  writeSafetensors,
  writeTinyFolder,
} from './files.js'

const query = 'model.layers.0.self_attn.q_proj.weight'

/** A tiny folder whose table `change` may spoil. */
async function folderWith(
  t: ExecutionContext,
  change: (table: Record<string, StoredTensor>) => unknown,
  dataBytes?: number,
): Promise<string> {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  const table = tableOf(tinyShapes())
  change(table)
  await writeSafetensors(join(folder, 'model.safetensors'), table, dataBytes)
  return folder
}

async function refuses(t: ExecutionContext, folder: string, message: RegExp): Promise<void> {
  const error = await t.throwsAsync(readWeightTable({ kind: 'folder', folder }), { instanceOf: ModelError })
  t.regex(error!.message, message)
}

test('weights come in the order of a forward pass, each with its place in the file', async t => {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  const weights = await readWeightTable({ kind: 'folder', folder })
  t.deepEqual(weights.map(({ name }) => name).toSorted(), Object.keys(tinyShapes()).toSorted())
  t.is(weights[0]!.name, 'model.embed_tokens.weight')
  t.is(weights.at(-1)!.name, 'model.norm.weight')
  const file = join(folder, 'model.safetensors')
  const header = Number((await readFile(file)).readBigUInt64LE())
  t.deepEqual(weights[0], {
    name: 'model.embed_tokens.weight',
    shape: [16, 8],
    type: 'F32',
    file,
    offset: 8 + header,
    byteLength: 16 * 8 * 4,
  })
})

test('shards are found by their index', async t => {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  await rm(join(folder, 'model.safetensors'))
  const shapes = Object.entries(tinyShapes())
  const parts = [shapes.slice(0, 9), shapes.slice(9)]
  const map: Record<string, string> = {}
  for (const [i, part] of parts.entries()) {
    const shard = `model-0000${i + 1}-of-00002.safetensors`
    await writeSafetensors(join(folder, shard), tableOf(Object.fromEntries(part)))
    for (const [name] of part) map[name] = shard
  }
  await writeFile(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: {}, weight_map: map }),
  )
  const weights = await readWeightTable({ kind: 'folder', folder })
  t.is(weights.length, shapes.length)
  for (const { name, file } of weights) t.is(file, join(folder, map[name]!))

  await rm(join(folder, 'model-00002-of-00002.safetensors'))
  await refuses(t, folder, /model-00002-of-00002\.safetensors cannot be read: ENOENT/)
})

test('an index that places a tensor where it is not is refused', async t => {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  await rm(join(folder, 'model.safetensors'))
  await writeSafetensors(join(folder, 'a.safetensors'), tableOf({ x: [1] }))
  await writeFile(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ weight_map: { y: 'a.safetensors' } }),
  )
  await refuses(t, folder, /index\.json has y in a\.safetensors, but it is not there/)
})

for (const shard of ['../secret.safetensors', '/etc/passwd', 'a/../../b', '..\\b', '.', '']) {
  test(`an index may not name the file ${JSON.stringify(shard)}`, async t => {
    const folder = join(await temporaryFolder(t), 'model')
    await mkdir(folder)
    await writeFile(join(folder, 'config.json'), JSON.stringify(tinyConfig))
    await writeFile(join(folder, '..', 'secret.safetensors'), '')
    await writeFile(
      join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: { x: shard } }),
    )
    await refuses(t, folder, /lies outside its folder: refused/)
  })
}

test('a tied output projection is left aside, an untied one is wanted', async t => {
  const folder = await folderWith(t, table => {
    table['lm_head.weight'] = table['model.embed_tokens.weight']!
    table['lm_head.weight'] = { ...table['lm_head.weight']!, data_offsets: [0, 512] }
    table['model.embed_tokens.weight'] = { dtype: 'F32', shape: [16, 8], data_offsets: [10000, 10512] }
  })
  const names = (await readWeightTable({ kind: 'folder', folder })).map(({ name }) => name)
  t.false(names.includes('lm_head.weight'))
  const untied = await temporaryFolder(t)
  await writeTinyFolder(untied, { tie_word_embeddings: false })
  await refuses(t, untied, /lm_head\.weight is missing: the model is not complete/)
})

test('an output projection that is to be the embedding, and is not, is refused', async t => {
  const folder = await folderWith(t, table => {
    table['lm_head.weight'] = { dtype: 'F32', shape: [16, 8], data_offsets: [10000, 10512] }
  })
  await t.notThrowsAsync(readWeightTable({ kind: 'folder', folder }))
  const file = join(folder, 'model.safetensors')
  const { entries } = await readSafetensorsFile(file)
  const { offset, byteLength } = entries.find(({ name }) => name === 'lm_head.weight')!
  const handle = await open(file, 'r+')
  await handle.write(Buffer.from([1]), 0, 1, offset + byteLength - 1)
  await handle.close()
  await refuses(
    t,
    folder,
    /lm_head\.weight is not the same as model\.embed_tokens\.weight, .*set tie_word_embeddings to false/,
  )
})

test('missing tensors are named, many of them shortened', async t => {
  await refuses(t, await folderWith(t, table => delete table[query]), /^.*q_proj\.weight is missing/)
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder, { num_hidden_layers: 4 })
  await refuses(t, folder, /model\.layers\.2\.input_layernorm\.weight, .* and 13 more are missing/)
})

test('unexpected tensors are named: they would change what the model computes', async t => {
  const bias = 'model.layers.0.self_attn.q_proj.bias'
  const folder = await folderWith(t, table => {
    table[bias] = { dtype: 'F32', shape: [8], data_offsets: [20000, 20032] }
  })
  await refuses(t, folder, /q_proj\.bias is in the file, but the configuration has no such weight/)
})

test('rotary tables that old models save are left aside', async t => {
  const folder = await folderWith(t, table => {
    table['model.layers.0.self_attn.rotary_emb.inv_freq'] = {
      dtype: 'F32',
      shape: [2],
      data_offsets: [20000, 20008],
    }
  })
  await t.notThrowsAsync(readWeightTable({ kind: 'folder', folder }))
})

const spoilt: [string, (entry: StoredTensor) => Partial<Record<keyof StoredTensor, unknown>>, RegExp][] = [
  [
    'a shape that the configuration does not give',
    () => ({ shape: [4, 16] }),
    /q_proj\.weight has shape \[4,16\], but by the configuration it is \[8,8\]/,
  ],
  [
    'a type that is not supported',
    () => ({ dtype: 'F8_E4M3' }),
    /q_proj\.weight: the type "F8_E4M3" is not supported; expected one of F32, F16, BF16/,
  ],
  [
    'too few bytes for its shape',
    ({ data_offsets: [start] }) => ({ data_offsets: [start, start + 8] }),
    /F32 of shape \[8,8\] takes 256 bytes, but the header gives it 8/,
  ],
  [
    'an end before its start',
    () => ({ data_offsets: [16, 8] }),
    /data_offsets: expected \[start, end\], got \[16,8\]/,
  ],
  [
    'a negative start',
    () => ({ data_offsets: [-8, 8] }),
    /data_offsets: expected \[start, end\], got \[-8,8\]/,
  ],
  ['a shape that is none', () => ({ shape: [8.5, 8] }), /shape: expected a list of sizes, got \[8\.5,8\]/],
  [
    'another tensor’s bytes',
    () => ({ data_offsets: [0, 256] }),
    /model\.(embed_tokens|layers\.0\.self_attn\.q_proj)\.weight and model\.\S+ overlap at byte \d+: the file is damaged/,
  ],
]

for (const [title, change, message] of spoilt) {
  test(`a tensor with ${title} is refused`, async t => {
    const folder = await folderWith(t, table => Object.assign(table[query]!, change(table[query]!)), 100_000)
    await refuses(t, folder, message)
  })
}

test('an entry that is no tensor is refused', async t => {
  await refuses(
    t,
    await folderWith(t, table => Object.assign(table, { [query]: 5 }), 100_000),
    /q_proj\.weight: expected dtype, shape and data_offsets, got 5/,
  )
})

test('a truncated file is named with the tensor and the bytes', async t => {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  const file = join(folder, 'model.safetensors')
  const { length } = await readFile(file)
  await truncate(file, length - 1)
  await refuses(
    t,
    folder,
    new RegExp(
      `model\\.safetensors is truncated: \\S+ takes bytes \\d+ to ${length}, but the file has ${length - 1} bytes`,
    ),
  )
  await truncate(file, 100)
  await refuses(t, folder, /is truncated: its header takes \d+ bytes, but the file has 100/)
  await truncate(file, 5)
  await refuses(t, folder, /has 5 bytes: not a safetensors file/)
})

test('a file that is something else is refused', async t => {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  const file = join(folder, 'model.safetensors')
  await writeFile(file, 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\n')
  await refuses(t, folder, /is not a safetensors file: it claims a header of \d+ bytes/)
  const header = Buffer.alloc(24)
  header.writeBigUInt64LE(16n)
  await writeFile(file, header)
  await refuses(t, folder, /the safetensors header is damaged/)
})

test('no cut and no changed byte of a header gets through as anything but a ModelError', async t => {
  const folder = await temporaryFolder(t)
  await writeTinyFolder(folder)
  const file = join(folder, 'model.safetensors')
  const whole = await readFile(file)
  const headerLength = 8 + Number(whole.readBigUInt64LE())
  await fc.assert(
    fc.asyncProperty(
      fc.nat(headerLength - 1),
      fc.integer({ min: 0, max: 255 }),
      fc.boolean(),
      async (at, byte, cut) => {
        const bytes = Buffer.from(cut ? whole.subarray(0, at) : whole)
        if (!cut) bytes[at] = byte
        await writeFile(file, bytes)
        await readWeightTable({ kind: 'folder', folder }).catch(error => {
          if (!(error instanceof ModelError)) throw error
        })
      },
    ),
    { numRuns: 200 },
  )
  t.pass()
})

test('a folder with pickles only is refused with the command that converts them', async t => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'config.json'), JSON.stringify(tinyConfig))
  await refuses(t, folder, /has no weights: expected model\.safetensors .*found config\.json/)
  await writeFile(join(folder, 'pytorch_model.bin'), '')
  await refuses(t, folder, /only in pytorch_model\.bin, a Python pickle[\s\S]*save_pretrained/)
})

test('a written header is read back, padded so that tensors are aligned', async t => {
  const file = join(await temporaryFolder(t), 'x.safetensors')
  const entries = [
    { name: 'a', dtype: 'BF16', shape: [3, 5] },
    { name: 'naïve "b"', dtype: 'F32', shape: [7] },
    { name: 'scalar', dtype: 'F32', shape: [] },
    { name: 'empty', dtype: 'F32', shape: [0, 4] },
  ] as const
  const { header, byteLength } = safetensorsHeader(entries, { steps: '12' })
  t.is(header.length % 8, 0)
  t.is(byteLength, header.length + 30 + 28 + 4)
  await writeFile(file, Buffer.concat([header, Buffer.alloc(byteLength - header.length)]))
  const { entries: found, metadata } = await readSafetensorsFile(file)
  t.deepEqual(metadata, { steps: '12' })
  t.deepEqual(
    found.map(({ name, type, shape, offset }) => ({
      name,
      dtype: type,
      shape,
      offset: offset - header.length,
    })),
    entries.map((entry, i) => ({ ...entry, shape: [...entry.shape], offset: [0, 30, 58, 62][i]! })),
  )
})
