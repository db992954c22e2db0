/**
 * Runs a stage as its first argument says, and kills itself: at the n-th event of a kind, or some time after the n-th of any.
 * What a crash leaves.
 */
import { evaluate } from '../../lib/stages/evaluate.js'
import { explain } from '../../lib/stages/explain.js'
import { rank } from '../../lib/stages/rank.js'

const { stage, config, event, count, milliseconds } = JSON.parse(process.argv[2]!)

const die = () => process.kill(process.pid, 'SIGKILL')
let seen = 0
const onEvent = (told: { type: string; phase?: string }) => {
  if (event !== undefined && event !== (told.phase ?? told.type)) return
  if (++seen !== count) return
  if (milliseconds === undefined) die()
  else setTimeout(die, milliseconds)
}

const stages = { evaluate, explain, rank }
await stages[stage as keyof typeof stages](config, { onEvent })
