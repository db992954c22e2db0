/** The header of a GGUF file: metadata and the table of tensors. The tensors themselves are not read. */
import { stat } from 'node:fs/promises'
import { GGMLQuantizationType, gguf } from '@huggingface/gguf'
import { ModelError } from '../errors.js'
import type { Fields } from './fields.js'

export interface GgufTensor {
  name: string
  /** As in Hugging Face, outermost first: [out, in]. GGUF's own order is the reverse. */
  shape: number[]
  /** ggml's name of the storage type, or its number where unknown. */
  type: string
  /** From the start of the file, in bytes. */
  offset: number
}

export interface GgufHeader {
  file: string
  /** Bytes of the whole file. */
  size: number
  metadata: Fields
  tensors: GgufTensor[]
}

const rememberMs = 30_000

/** A header takes some 100 ms to parse, and configuration, weights and tokenizer each want the same one. */
let latest: { key: string; header: Promise<GgufHeader> } | undefined

/** @throws {ModelError} when the file is missing, no GGUF, or ends within its header */
export async function readGgufHeader(file: string): Promise<GgufHeader> {
  const { size, mtimeMs } = await stat(file).catch(error => {
    throw new ModelError(`${file} cannot be read: ${error.message}`, { cause: error })
  })
  const key = `${file}\n${size}\n${mtimeMs}`
  if (latest?.key === key) return latest.header
  const mine = { key, header: parse(file, size) }
  latest = mine
  // A vocabulary takes tens of megabytes: not for good.
  setTimeout(() => {
    if (latest === mine) latest = undefined
  }, rememberMs).unref()
  return mine.header
}

async function parse(file: string, size: number): Promise<GgufHeader> {
  let parsed: Awaited<ReturnType<typeof gguf>>
  try {
    parsed = await gguf(file, { allowLocalFile: true })
  } catch (error) {
    throw new ModelError(
      `${file} is not a GGUF file, or its header is damaged (${(error as Error).message}). Download it again.`,
      { cause: error },
    )
  }
  const start = Number(parsed.tensorDataOffset)
  // The parser reads zeros beyond the end of the file.
  if (start > size && (parsed.tensorInfos.length > 0 || parsed.tensorInfoByteRange[1] > size))
    throw new ModelError(
      `${file} is truncated: its header reaches to byte ${start}, but the file has ${size} bytes. Download it again.`,
    )
  const metadata = parsed.metadata as unknown as Fields
  if (Number(metadata['split.count'] ?? 1) > 1)
    throw new ModelError(
      `${file} is one of ${metadata['split.count']} parts. Join them first: llama-gguf-split --merge FIRST-PART OUT.gguf`,
    )
  return {
    file,
    size,
    metadata,
    tensors: parsed.tensorInfos.map(info => ({
      name: info.name,
      shape: info.shape.map(Number).reverse(),
      type: GGMLQuantizationType[info.dtype] ?? String(info.dtype),
      offset: start + Number(info.offset),
    })),
  }
}
