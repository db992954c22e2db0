/** The weight table of a folder of safetensors: one file, or shards with an index. */
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ModelError } from '../errors.js'
import { type Fields, isFields, show } from './fields.js'
import { readShardIndex, shardIndexName } from './shard-index.js'
import type { WeightEntry, WeightType } from './weight-table.js'

/** Bytes of a value, by the name of its type. */
type Types = Readonly<Partial<Record<string, number>>>

const weightTypes: Types = { F32: 4, F16: 2, BF16: 2 }
/** What an optimizer's state is made of. */
export const stateTypes: Types = { ...weightTypes, I16: 2, U8: 1 }

/** The format's own limit; a longer header is damage. */
const longestHeader = 100_000_000

export async function safetensorsWeights(folder: string): Promise<WeightEntry[]> {
  // As transformers does: the single file wins where both are there.
  if ((await readdirOrEmpty(folder)).includes('model.safetensors'))
    return (await readSafetensorsFile(join(folder, 'model.safetensors'))).entries
  const index = await readShardIndex(folder)
  if (index) return readShards(folder, index)
  throw new ModelError(await nothingFound(folder))
}

async function readShards(folder: string, index: Map<string, string>): Promise<WeightEntry[]> {
  const shards = new Map<string, Map<string, WeightEntry>>()
  for (const shard of new Set(index.values())) {
    const { entries } = await readSafetensorsFile(join(folder, shard))
    shards.set(shard, new Map(entries.map(entry => [entry.name, entry])))
  }
  return [...index].map(([name, shard]) => {
    const entry = shards.get(shard)!.get(name)
    if (!entry)
      throw new ModelError(`${join(folder, shardIndexName)} has ${name} in ${shard}, but it is not there`)
    return entry
  })
}

/**
 * The table and the free-form metadata of one safetensors file.
 * @throws {ModelError} when the header and the file do not agree
 */
export async function readSafetensorsFile(
  file: string,
  types = weightTypes,
): Promise<{ entries: WeightEntry[]; metadata: Record<string, string> }> {
  const { header, dataStart, size } = await readHeader(file)
  const entries = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => toEntry(file, name, value, { dataStart, size, types }))
  refuseOverlaps(entries)
  const metadata = isFields(header.__metadata__) ? (header.__metadata__ as Record<string, string>) : {}
  return { entries, metadata }
}

async function readHeader(file: string): Promise<{ header: Fields; dataStart: number; size: number }> {
  const handle = await open(file, 'r').catch(error => {
    throw new ModelError(`${file} cannot be read: ${error.message}`, { cause: error })
  })
  try {
    const { size } = await handle.stat()
    if (size < 8)
      throw new ModelError(`${file} has ${size} bytes: not a safetensors file. Download it again.`)
    const { buffer: prefix } = await handle.read(Buffer.alloc(8), 0, 8, 0)
    const length = Number(prefix.readBigUInt64LE())
    if (length > longestHeader)
      throw new ModelError(`${file} is not a safetensors file: it claims a header of ${length} bytes`)
    if (8 + length > size)
      throw new ModelError(
        `${file} is truncated: its header takes ${8 + length} bytes, but the file has ${size}. Download it again.`,
      )
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, 8)
    return { header: parseHeader(file, buffer), dataStart: 8 + length, size }
  } finally {
    await handle.close()
  }
}

function parseHeader(file: string, bytes: Buffer): Fields {
  try {
    const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (isFields(header)) return header
  } catch (error) {
    throw new ModelError(`${file}: the safetensors header is damaged: ${(error as Error).message}`, {
      cause: error,
    })
  }
  throw new ModelError(`${file}: the safetensors header is damaged: expected a JSON object`)
}

function toEntry(
  file: string,
  name: string,
  value: unknown,
  { dataStart, size, types }: { dataStart: number; size: number; types: Types },
): WeightEntry {
  const fail = (what: string): never => {
    throw new ModelError(`${file}: ${name}: ${what}`)
  }
  if (!isFields(value)) return fail(`expected dtype, shape and data_offsets, got ${show(value)}`)
  const { dtype, shape, data_offsets: offsets } = value
  if (!isListOfCounts(shape)) return fail(`shape: expected a list of sizes, got ${show(shape)}`)
  if (!isListOfCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!)
    return fail(`data_offsets: expected [start, end], got ${show(offsets)}`)
  const valueBytes = Object.hasOwn(types, String(dtype)) ? types[String(dtype)] : undefined
  if (valueBytes === undefined)
    return fail(`the type ${show(dtype)} is not supported; expected one of ${Object.keys(types).join(', ')}`)
  const byteLength = offsets[1]! - offsets[0]!
  const expected = shape.reduce((product, length) => product * length, valueBytes)
  if (byteLength !== expected)
    return fail(`${dtype} of shape [${shape}] takes ${expected} bytes, but the header gives it ${byteLength}`)
  const offset = dataStart + offsets[0]!
  if (offset + byteLength > size)
    throw new ModelError(
      `${file} is truncated: ${name} takes bytes ${offset} to ${offset + byteLength}, but the file has ${size} bytes. ` +
        'Download it again.',
    )
  return { name, shape, type: dtype as WeightType, file, offset, byteLength }
}

function isListOfCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(count => Number.isSafeInteger(count) && count >= 0)
}

function refuseOverlaps(entries: WeightEntry[]): void {
  const sorted = entries.filter(({ byteLength }) => byteLength > 0).sort((a, b) => a.offset - b.offset)
  for (const [i, entry] of sorted.entries()) {
    const previous = sorted[i - 1]
    if (previous && previous.offset + previous.byteLength > entry.offset)
      throw new ModelError(
        `${entry.file}: ${previous.name} and ${entry.name} overlap at byte ${entry.offset}: the file is damaged`,
      )
  }
}

async function nothingFound(folder: string): Promise<string> {
  const names = await readdirOrEmpty(folder)
  const pickle = names.find(name => /^pytorch_model.*\.bin$/.test(name))
  if (pickle)
    return (
      `${folder} has its weights only in ${pickle}, a Python pickle, which can run code when it is read. ` +
      'If you trust its source, convert it where transformers is installed:\n' +
      `  python -c "from transformers import AutoModelForCausalLM as M; M.from_pretrained('${folder}').save_pretrained('${folder}')"`
    )
  const found = names.length > 0 ? names.slice(0, 8).join(', ') : 'nothing'
  return `${folder} has no weights: expected model.safetensors or ${shardIndexName}, found ${found}`
}

async function readdirOrEmpty(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => [])
}
