export { type CountdownCheck, checkCountdown, extractCalculation, gradeCountdown } from './check.js'
export {
  type Calculation,
  formatCalculation,
  NotACalculation,
  numbersIn,
  parseCalculation,
  valueOfCalculation,
} from './expression.js'
export {
  type CountdownOptions,
  type CountdownProblem,
  countdownProblem,
  countdownQuestion,
  readCountdownQuestion,
} from './generate.js'
export { solveCountdown, workedSolution } from './solve.js'
