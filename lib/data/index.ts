export { type Dataset, fingerprint, readDataset, readSource } from './dataset.js'
export { type Fit, type Reader, rowsThatFit } from './fit.js'
export { type Span, StudentFormat, type StudentView } from './formats/student.js'
export { type Explanation, explanationOf, stopsOf, teacherPrompt, textOf } from './formats/teacher.js'
export { DataOrder } from './order.js'
export { hashCounters, permutation, purposes } from './random.js'
export { readLines } from './readers/lines.js'
export { mapColumns, type RawRow, type Row } from './row.js'
export {
  asJson,
  type Columns,
  ColumnTypes,
  createRowWriter,
  jsonLine,
  type OutputRow,
  type RowWriter,
} from './writers/index.js'
