export type { Phase, TrainEvent } from './events.js'
export { renderReport, writeReport } from './html.js'
export { createTerminalView, type TerminalStream, type TerminalView } from './terminal.js'
export { formatBytes, formatNumber, formatSeconds } from './text.js'
