/** What the machine is: processor, memory, disks, GPU. Nothing here needs the addon. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import os from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Processor {
  model: string
  architecture: string
  /** Cores that this process may use. */
  cores: number
  /** Instruction sets that decide which kernels run, e.g. 'avx2', 'avx512f', 'amx_bf16'. */
  features: string[]
}

export interface Memory {
  totalBytes: number
  /** What can be allocated now: the kernel's estimate, and a container's limit where there is one. */
  availableBytes: number
}

export interface Gpu {
  name: string
  memoryBytes: number
  driver: string
}

const relevantFeatures = [
  ...['avx2', 'fma', 'f16c', 'avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_bf16', 'avx512_vnni'],
  ...['amx_tile', 'amx_bf16', 'amx_int8', 'asimd', 'asimdhp', 'bf16', 'i8mm', 'sve', 'sve2'],
]

export async function readProcessor(): Promise<Processor> {
  // Other systems than Linux have no such file; the addon's own report of the processor remains.
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  const flags = new Set((/^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1] ?? '').trim().split(/\s+/))
  return {
    model: os.cpus()[0]?.model ?? 'unknown',
    architecture: process.arch,
    cores: os.availableParallelism(),
    features: relevantFeatures.filter(feature => flags.has(feature)),
  }
}

export function readMemory(): Memory {
  const limit = process.constrainedMemory()
  const total = os.totalmem()
  return {
    totalBytes: limit > 0 && limit < total ? limit : total,
    availableBytes: Math.min(os.freemem(), process.availableMemory?.() ?? Number.POSITIVE_INFINITY),
  }
}

/** NVIDIA GPUs as their driver reports them; none where there is no driver. */
export async function readGpus(): Promise<Gpu[]> {
  try {
    const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader,nounits']
    const { stdout } = await run('nvidia-smi', query, { timeout: 20_000 })
    return stdout
      .split('\n')
      .filter(line => line.trim() !== '')
      .map(line => {
        const [name = '', mebibytes = '', driver = ''] = line.split(',').map(part => part.trim())
        return { name, memoryBytes: Number(mebibytes) * 2 ** 20, driver }
      })
  } catch {
    return []
  }
}
