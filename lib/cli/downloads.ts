/** How far downloads have come, on standard error. */
import type { DownloadProgress } from '../models/index.js'

/** On a terminal the share of each file as it comes; elsewhere a line for each file that is complete. */
export function showDownloads(): (progress: DownloadProgress) => void {
  let shown = ''
  return ({ file, bytes, totalBytes }) => {
    const complete = bytes === totalBytes
    const share = totalBytes ? Math.floor((100 * bytes) / totalBytes) : 0
    const text = `${file}  ${complete ? formatSize(bytes) : `${share} % of ${formatSize(totalBytes ?? bytes)}`}`
    if (text === shown || !(complete || process.stderr.isTTY)) return
    shown = text
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}${complete ? '\n' : ''}` : `${text}\n`)
  }
}

/** In decimal units, as file sizes on the web are. */
export function formatSize(bytes: number): string {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`
}
