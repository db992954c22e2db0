/** The roofline (Williams et al. 2009): no work is done faster than its operations or its bytes allow. */

export interface Peak {
  /** Floating-point operations a second. */
  operations: number
  /** Bytes a second. */
  bytes: number
}

export interface Work {
  operations: number
  bytes: number
}

/** Parts that are done one after the other: each waits for what bounds it. */
export function leastSeconds(parts: readonly Work[], peak: Peak): number {
  return parts.reduce(
    (sum, { operations, bytes }) => sum + Math.max(operations / peak.operations, bytes / peak.bytes),
    0,
  )
}

/** What the figures of one row say about its work. */
export function rates(parts: readonly Work[], seconds: number, peak: Peak) {
  const operations = parts.reduce((sum, part) => sum + part.operations, 0)
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
  return {
    operationsPerSecond: operations / seconds,
    bytesPerSecond: bytes / seconds,
    shareOfPeak: leastSeconds(parts, peak) / seconds,
    bound: operations / peak.operations > bytes / peak.bytes ? ('compute' as const) : ('memory' as const),
  }
}
