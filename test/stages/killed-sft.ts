/**
 * Fine-tunes as its first argument says, and kills itself at the n-th event of a kind: what a crash leaves. Every event is
 * told on stdout, for whoever wants to kill it at another moment.
 */
import { writeSync } from 'node:fs'
import { distill } from '../../lib/stages/distill.js'
import { warmup } from '../../lib/stages/warmup.js'

const { stage, config, resume, event, count } = JSON.parse(process.argv[2]!)

let seen = 0
const onEvent = (told: { type: string; phase?: string }) => {
  const name = told.phase ?? told.type
  writeSync(1, `${name}\n`)
  if (name === event && ++seen === count) process.kill(process.pid, 'SIGKILL')
}

const stages = { distill, warmup }
await stages[stage as keyof typeof stages](config, { onEvent, resume })
