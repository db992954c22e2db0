/** The whole report of `rlt doctor`: what was found, and what stands between the user and a run. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { SystemInformation } from '../../engine/addon.js'
import { packageRoot } from '../../packageRoot.js'
import { type Cache, readCaches } from './caches.js'
import { gpuProblems } from './gpu.js'
import { type Addon, type Problem, readAddon, readLibTorch, readTools, type Tools } from './installation.js'
import { type Installer, type LibTorch, loadInstaller } from './installer.js'
import { type Gpu, type Memory, type Processor, readGpus, readMemory, readProcessor } from './machine.js'

export interface Findings {
  version: string
  node: string
  processor: Processor
  memory: Memory
  disks: { folder: string; freeBytes: number }[]
  gpus: Gpu[]
  libtorch: LibTorch | null
  addon: Addon
  /** The engine's own report; null where the addon does not load. */
  engine: SystemInformation | null
  tools: Tools
  caches: Cache[]
  problems: Problem[]
}

const gigabyte = 1e9
/** SmolLM2-135M as teacher, student and reference with optimizer state needs about this much. */
const quickstartMemory = 4 * gigabyte
/** A checkpoint of that model with its optimizer state, twice, because one is written while one is kept. */
const quickstartDisk = 5 * gigabyte

export async function examine(): Promise<Findings> {
  const problems: Problem[] = []
  const installer = await loadInstaller()
  const [processor, gpus, caches, libtorch] = await Promise.all([
    readProcessor(),
    readGpus(),
    readCaches(installer),
    readLibTorch(installer, problems),
  ])
  const addon = await readAddon(installer, problems)
  const tools = await readTools(installer, problems, !addon.loads)
  const engine = addon.loads ? await readEngine(problems) : null
  const memory = readMemory()
  const disks = await readDisks(installer.freeBytes, problems)

  checkBuildChoice(addon, libtorch, problems)
  checkMemory(memory, problems)
  checkProcessor(processor, problems)
  problems.push(...gpuProblems(gpus, engine, leastCapability(installer)))
  const version = JSON.parse(await readFile(path.join(packageRoot(), 'package.json'), 'utf8')).version
  return {
    ...{ version, node: process.version, processor, memory, disks, gpus, libtorch: libtorch ?? null },
    ...{ addon, engine, tools, caches, problems },
  }
}

async function readEngine(problems: Problem[]): Promise<SystemInformation | null> {
  try {
    const { systemInformation } = await import('../../engine/system.js')
    return systemInformation()
  } catch (error) {
    const what = `The engine does not start: ${(error as Error).message}`
    problems.push({ severity: 'error', what, fix: ['npm run build:native'] })
    return null
  }
}

async function readDisks(freeBytes: (folder: string) => Promise<number>, problems: Problem[]) {
  const folder = process.cwd()
  const free = await freeBytes(folder)
  if (free < quickstartDisk) {
    const what = `Only ${(free / gigabyte).toFixed(1)} GB are free in ${folder}; checkpoints of the quickstart need ${quickstartDisk / gigabyte} GB.`
    problems.push({ severity: 'warning', what, fix: ['Set output.folder to a larger disk.'] })
  }
  return [{ folder, freeBytes: free }]
}

/** Not wrong, but it explains a surprise: the next build compiles everything anew. */
function checkBuildChoice(addon: Addon, libtorch: LibTorch | undefined, problems: Problem[]): void {
  if (!addon.loads || !addon.builtWith || !libtorch || addon.builtWith === libtorch.folder) return
  const what = `The addon was built with the LibTorch in ${addon.builtWith}; the next build takes the one in ${libtorch.folder}.`
  problems.push({
    severity: 'warning',
    what,
    fix: [`To keep the present one: export LIBTORCH=${addon.builtWith}`],
  })
}

function checkMemory(memory: Memory, problems: Problem[]): void {
  if (memory.availableBytes >= quickstartMemory) return
  const what = `Only ${(memory.availableBytes / gigabyte).toFixed(1)} GB of memory are available; the quickstart needs about ${quickstartMemory / gigabyte} GB.`
  problems.push({ severity: 'warning', what, fix: ['Close other programs, or lower sampling.completions.'] })
}

function checkProcessor(processor: Processor, problems: Problem[]): void {
  if (processor.architecture !== 'x64' || processor.features.length === 0) return
  if (processor.features.includes('avx2')) return
  const what = 'The processor has no AVX2: everything works, but many times slower than on a newer one.'
  problems.push({ severity: 'warning', what, fix: [] })
}

/** Of what the installation compiles for: '80-real' is 8.0. */
function leastCapability({ versions }: Installer): number {
  return Math.min(...versions.libtorch.cudaArchitectures.map(name => Number.parseInt(name, 10) / 10))
}
