/** Figures and small drawings for people to read. */

/** Four significant digits; very small and very large numbers with an exponent. */
export function formatNumber(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  const magnitude = Math.abs(value)
  if (magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e6)) return value.toExponential(1)
  if (Number.isInteger(value)) return String(value)
  return magnitude >= 1000 ? value.toFixed(0) : value.toPrecision(4)
}

/** 0.8 s, 42 s, 3:05, 1:02:03 */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 59.5) return `${Math.round(seconds)} s`
  const whole = Math.round(seconds)
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** In binary units, as memory is: 1.5 GiB. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`
}

/** ▁▃▅█: the last `width` values, from their least to their greatest. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.filter(Number.isFinite).slice(-width)
  const low = Math.min(...shown)
  const range = Math.max(...shown) - low
  const bars = '▁▂▃▄▅▆▇█'
  return shown.map(v => bars[range > 0 ? Math.round(((v - low) / range) * (bars.length - 1)) : 3]).join('')
}

export function bar(fraction: number, width: number): string {
  const filled = Math.round(Math.max(0, Math.min(1, fraction)) * width)
  return '━'.repeat(filled) + '─'.repeat(width - filled)
}

/** The mean of each value and its neighbours on both sides: shows the course of a noisy curve. */
export function runningMean(values: readonly number[], reach: number): number[] {
  return values.map((_, i) => {
    // As many on either side, so that the mean is not pulled ahead or behind near the ends.
    const r = Math.min(reach, i, values.length - 1 - i)
    const window = values.slice(i - r, i + r + 1)
    return window.reduce((sum, v) => sum + v, 0) / window.length
  })
}
