/** What the claims come to: all figures of tables and plots are computed from this. */
import type { MetricsRow } from '../../lib/runs/index.js'
import type { Judgement } from './judge.js'
import type { Measurement } from './measure.js'

export type TeacherName = 'untrained' | 'trained'
export type TaskName = 'gsm8k' | 'countdown'

/** Of students that learned from one data set. */
export interface StudentResult {
  /** Rows of the data set. */
  rows: number
  /** Mean reward of its explanations; null where they are none of a teacher's. */
  reward: number | null
  /** Mean tokens of its explanations; null likewise. */
  tokens: number | null
  /** One a seed. */
  measurements: Measurement[]
}

export interface Results {
  settings: unknown
  /** Seconds of each piece of work, on whatever else the machine did. */
  seconds: Record<string, number>
  /** Held-out reward in the teacher's training. */
  training: MetricsRow[]
  /** On held-out questions. */
  teachers: Record<TaskName, Record<TeacherName, Judgement>>
  /** The student before it is distilled. */
  undistilled: Record<TaskName, Measurement>
  /** (a) by the teacher whose explanations were learned from, or none. */
  teacherStudents: Record<TeacherName | 'none', StudentResult>
  /** (b) from the best explanation of each question to the worst. */
  rankStudents: StudentResult[]
  /** (c) on countdown. */
  countdownStudents: Record<TeacherName, StudentResult>
}
