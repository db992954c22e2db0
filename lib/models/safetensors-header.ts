/** The header of a safetensors file that is about to be written. */

export interface SafetensorsEntry {
  name: string
  dtype: 'F32' | 'BF16' | 'I16' | 'U8'
  shape: readonly number[]
}

const bytesPerValue = { F32: 4, BF16: 2, I16: 2, U8: 1 }

export function byteLength({ shape, dtype }: SafetensorsEntry): number {
  return shape.reduce((product, size) => product * size, bytesPerValue[dtype])
}

/**
 * Tensors lie one after another in the order given.
 * @returns `header`: the 8-byte length, the JSON and its padding to a multiple of 8, so that the tensors are aligned;
 *   `byteLength`: of the whole file, header included
 */
export function safetensorsHeader(
  entries: readonly SafetensorsEntry[],
  metadata: Record<string, string> = { format: 'pt' },
): { header: Uint8Array; byteLength: number } {
  const table: Record<string, unknown> = { __metadata__: metadata }
  let end = 0
  for (const entry of entries) {
    const start = end
    end += byteLength(entry)
    table[entry.name] = { dtype: entry.dtype, shape: entry.shape, data_offsets: [start, end] }
  }
  const json = Buffer.from(JSON.stringify(table))
  const length = Math.ceil(json.length / 8) * 8
  const header = Buffer.alloc(8 + length, ' ')
  header.writeBigUInt64LE(BigInt(length))
  json.copy(header, 8)
  return { header, byteLength: header.length + end }
}
