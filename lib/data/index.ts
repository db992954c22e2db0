export { type Dataset, fingerprint, readDataset, readRawRows, readSource, type Split } from './dataset.js'
export { type Fit, type Reader, rowsThatFit, whyTooLong } from './fit.js'
export { chatPrompt } from './formats/chat.js'
export { distillExample, type Example, endOfTurn, warmupExample } from './formats/example.js'
export { type Span, StudentFormat, type StudentView } from './formats/student.js'
export {
  type Explanation,
  explanationOf,
  stopsOf,
  teacherPrompt,
  teacherPromptText,
  teacherTurns,
  textOf,
} from './formats/teacher.js'
export { splitAt } from './formats/template.js'
export { DataOrder } from './order.js'
export { hashCounters, permutation, purposes } from './random.js'
export type { HubOptions } from './readers/hub.js'
export { readLines } from './readers/lines.js'
export { mapColumns, type RawRow, type Row, textColumn } from './row.js'
export { readTraces, type Trace, traceFingerprint, traceOf } from './traces.js'
export {
  asJson,
  type Columns,
  type ColumnType,
  ColumnTypes,
  createRowWriter,
  jsonLine,
  type OutputRow,
  type RowWriter,
} from './writers/index.js'
