/** Medians and quartiles, by linear interpolation between order statistics. */

export interface Quartiles {
  median: number
  lower: number
  upper: number
}

/** @param values at least one */
export function quartiles(values: ArrayLike<number>): Quartiles {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number) => {
    const place = share * (sorted.length - 1)
    const below = Math.floor(place)
    const next = sorted[Math.min(below + 1, sorted.length - 1)]!
    return sorted[below]! + (place - below) * (next - sorted[below]!)
  }
  return { median: at(0.5), lower: at(0.25), upper: at(0.75) }
}

/** Half of the distance of the quartiles, as a share of the median. */
export function noiseOf({ median, lower, upper }: Quartiles): number {
  return (upper - lower) / 2 / median
}
