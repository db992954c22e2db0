/** `rlt bench`: kernels, stages and whole steps, for each number of threads, beside the peaks measured there. */
import { cpus } from 'node:os'
import { measurePeaks } from '../engine/benchmark.js'
import { type Dtype, Model, systemInformation } from '../engine/index.js'
import { setThreads } from '../engine/system.js'
import { type ModelFiles, placeOf } from '../models/index.js'
import { cpuTime, otherCpuShare } from './disturbance.js'
import { benchedKernels, benchKernel } from './kernels.js'
import type { BenchReport, BenchRow, Section } from './report.js'
import type { Peak } from './roofline.js'
import type { BenchSetting } from './setting.js'
import { benchStages, benchStep } from './stages.js'
import { oddSizes, type VerifiedOutput, verifyAt } from './verification.js'

export interface BenchOptions {
  sections: readonly Section[]
  /** Each once. */
  threads: readonly number[]
  dtype: Dtype
  device: string
  quick: boolean
  /** For stages and steps. */
  model?: ModelFiles | undefined
  signal?: AbortSignal | undefined
  /** Called with each row as soon as it is there. */
  onRow?: (row: BenchRow) => void
}

export async function bench(options: BenchOptions): Promise<BenchReport> {
  const { sections, threads, model, quick } = options
  const { vectorInstructionSet, torchVersion, cudaDevices } = systemInformation()
  const report: BenchReport = {
    version: 1,
    date: new Date().toISOString(),
    machine: {
      ...{ cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, gpus: cudaDevices },
      ...{ vectorInstructionSet, torch: torchVersion, node: process.version },
    },
    ...{ quick, model: model ? placeOf(model) : '' },
    ...{ peaks: [], rows: [] },
  }
  const add = (row: BenchRow) => {
    report.rows.push(row)
    options.onRow?.(row)
  }
  const before = await cpuTime()
  for (const count of threads) {
    setThreads(count)
    const setting: BenchSetting = { ...options, threads: count }
    const effort = quick ? { seconds: 0, repetitions: 2 } : { seconds: 1, repetitions: 5 }
    const peaks = await measurePeaks({ ...setting, ...effort })
    report.peaks.push({ threads: count, ...peaks })
    const peak = peakOf(peaks)
    if (sections.includes('kernels'))
      for (const kernel of benchedKernels(quick)) add(await benchKernel(kernel, setting, peak))
    if (model && (sections.includes('stages') || sections.includes('step')))
      for await (const row of withModel(model, sections, setting, peak)) add(row)
  }
  const others = otherCpuShare(before, await cpuTime())
  return { ...report, ...(others !== undefined && { otherCpuShare: others }) }
}

export function peakOf({ products, bandwidths }: Omit<BenchReport['peaks'][number], 'threads'>): Peak {
  const fastest = (of: typeof products) => Math.max(...of.map(({ perSecond }) => perSecond))
  return { operations: fastest(products), bytes: fastest(bandwidths) }
}

async function* withModel(
  files: ModelFiles,
  sections: readonly Section[],
  setting: BenchSetting,
  peak: Peak,
): AsyncGenerator<BenchRow> {
  const { dtype, device, threads, signal } = setting
  const model = await Model.load(files, {
    ...{ dtype, device: device === 'cpu' ? 'cpu' : 'cuda', threads, signal },
    trainable: true,
  })
  try {
    if (sections.includes('stages')) yield* benchStages(model, setting, peak)
    if (!sections.includes('step')) return
    const frozen = await model.clone()
    try {
      yield await benchStep(model, frozen, setting, peak)
    } finally {
      frozen.dispose()
    }
  } finally {
    model.dispose()
  }
}

export interface VerifyAllOptions {
  dtypes: readonly Dtype[]
  device: string
  /** One size of each operation. */
  quick: boolean
  signal?: AbortSignal | undefined
  onOutput?: (outputs: readonly VerifiedOutput[]) => void
}

/** Every operation at odd sizes and, unless quick, at those that are timed, beside the exact result. */
export async function verifyAll(options: VerifyAllOptions): Promise<VerifiedOutput[]> {
  const { dtypes, device, quick, signal, onOutput } = options
  const seen = new Set<string>()
  const sizes = quick
    ? oddSizes.filter(({ name }) => !seen.has(name) && seen.add(name))
    : [...oddSizes, ...benchedKernels(true)]
  const all: VerifiedOutput[] = []
  for (const dtype of dtypes)
    for (const size of sizes) {
      const outputs = await verifyAt(size, { dtype, device, signal })
      onOutput?.(outputs)
      all.push(...outputs)
    }
  return all
}
