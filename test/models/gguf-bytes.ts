/** GGUF files for tests, byte by byte: valid ones, and such as no writer would write. */
import { writeFile } from 'node:fs/promises'

export interface GgufTensorBytes {
  name: string
  /** GGUF's order: innermost first. */
  dimensions: number[]
  /** ggml's number of the type: 0 is F32, 1 F16, 2 Q4_0, 8 Q8_0 … */
  type: number
  data: Uint8Array
}

/** Whole numbers are written as uint32, others as float32. */
export type GgufValue = number | string | boolean | string[] | number[]

const alignment = 32

export async function writeGguf(
  file: string,
  metadata: Record<string, GgufValue>,
  tensors: GgufTensorBytes[],
): Promise<void> {
  await writeFile(file, ggufBytes(metadata, tensors))
}

export function ggufBytes(metadata: Record<string, GgufValue>, tensors: GgufTensorBytes[]): Buffer {
  const entries = Object.entries(metadata)
  let offset = 0
  const infos = tensors.map(({ name, dimensions, type, data }) => {
    const info = [
      text(name),
      uint32(dimensions.length),
      ...dimensions.map(uint64),
      uint32(type),
      uint64(offset),
    ]
    offset += padded(data.length)
    return Buffer.concat(info)
  })
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(3),
    uint64(tensors.length),
    uint64(entries.length),
    ...entries.flatMap(([key, value]) => [text(key), ...typed(value)]),
    ...infos,
  ])
  return Buffer.concat([
    header,
    Buffer.alloc(padded(header.length) - header.length),
    ...tensors.flatMap(({ data }) => [data, Buffer.alloc(padded(data.length) - data.length)]),
  ])
}

function typed(value: GgufValue): Buffer[] {
  if (typeof value === 'string') return [uint32(8), text(value)]
  if (typeof value === 'boolean') return [uint32(7), Buffer.from([value ? 1 : 0])]
  if (typeof value === 'number')
    return Number.isInteger(value) ? [uint32(4), uint32(value)] : [uint32(6), float32(value)]
  const type = typeof value[0] === 'string' ? 8 : value.every(Number.isInteger) ? 5 : 6
  const items = value.map(item =>
    typeof item === 'string' ? text(item) : type === 5 ? int32(item) : float32(item),
  )
  return [uint32(9), uint32(type), uint64(value.length), ...items]
}

const padded = (length: number) => Math.ceil(length / alignment) * alignment

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint64(bytes.length), bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}
