/** What `rlt bench` gives: one row for each thing that was timed. */
import { z } from 'zod'
import { DataError } from '../errors.js'

export const sections = ['kernels', 'stages', 'step'] as const
export type Section = (typeof sections)[number]

const quartilesSchema = z.object({ median: z.number(), lower: z.number(), upper: z.number() })

const rowSchema = z.object({
  section: z.enum(sections),
  name: z.string(),
  sizes: z.record(z.string(), z.number()),
  dtype: z.string(),
  device: z.string(),
  threads: z.number(),
  repetitions: z.number(),
  seconds: quartilesSchema,
  /** The plain statement in LibTorch's operations, timed by turns with it: of kernels only. */
  plain: quartilesSchema.optional(),
  /** How many times faster than that, by medians. */
  speedup: z.number().optional(),
  operationsPerSecond: z.number(),
  bytesPerSecond: z.number(),
  /**
   * Of what the roofline allows, 0 to 1: the least time for the operations at the fastest matrix product, or for the
   * bytes at the fastest memory, whichever is longer, divided by the median. Above 1 where caches hold the data.
   */
  shareOfPeak: z.number(),
  bound: z.enum(['compute', 'memory']),
  /** Of stages and steps only. */
  tokensPerSecond: z.number().optional(),
  /** Of sampling only: the most that keys and values took, and how often a sample gave its place to older ones. */
  peakCacheBytes: z.number().optional(),
  preemptions: z.number().optional(),
  /** Medians of a step's parts. */
  phases: z.record(z.string(), z.number()).optional(),
  /** The share of the CPU that other processes took meanwhile, where the system tells. */
  otherCpuShare: z.number().optional(),
})

const peakSchema = z.array(z.object({ name: z.string(), perSecond: z.number() }))

const reportSchema = z.object({
  version: z.literal(1),
  date: z.string(),
  machine: z.object({
    cpu: z.string(),
    cores: z.number(),
    gpus: z.number(),
    vectorInstructionSet: z.string(),
    torch: z.string(),
    node: z.string(),
  }),
  quick: z.boolean(),
  model: z.string(),
  peaks: z.array(z.object({ threads: z.number(), products: peakSchema, bandwidths: peakSchema })),
  rows: z.array(rowSchema),
  /** Over the whole run, as of each row: a row of less than a tenth of a second is too short to tell by itself. */
  otherCpuShare: z.number().optional(),
})

export type BenchRow = z.infer<typeof rowSchema>
export type BenchReport = z.infer<typeof reportSchema>

/** @throws DataError for a text that is no report of `rlt bench --json` */
export function parseReport(text: string, place: string): BenchReport {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new DataError(`${place}: expected what \`rlt bench --json\` wrote, got no JSON`, { cause: error })
  }
  const parsed = reportSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw new DataError(
    `${place}: expected what \`rlt bench --json\` wrote: ${path.join('.') || 'the report'}: ${message}`,
  )
}

/** What a row is of: equal in two reports for the same work. */
export function keyOf({ section, name, sizes, dtype, device, threads }: BenchRow): string {
  return [section, name, describeSizes(sizes), dtype, device, threads].join(' | ')
}

export function describeSizes(sizes: Readonly<Record<string, number>>): string {
  return Object.entries(sizes)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}
