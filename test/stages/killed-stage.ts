/** Runs a stage as its first argument says, and kills itself at an event: what a crash leaves. */
import { evaluate } from '../../lib/stages/evaluate.js'
import { explain } from '../../lib/stages/explain.js'
import { rank } from '../../lib/stages/rank.js'

const { stage, config, event, count } = JSON.parse(process.argv[2]!)

let seen = 0
const onEvent = (told: { type: string; phase?: string }) => {
  const name = told.phase ?? told.type
  if (name === event && ++seen === count) process.kill(process.pid, 'SIGKILL')
}

const stages = { evaluate, explain, rank }
await stages[stage as keyof typeof stages](config, { onEvent })
