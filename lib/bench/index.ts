export { type Compared, type Comparison, compare } from './compare.js'
export { type BenchReport, type BenchRow, parseReport, type Section, sections } from './report.js'
export { type BenchOptions, bench, type VerifyAllOptions, verifyAll } from './run.js'
export { describeReport, describeRow, describeVerification } from './text.js'
