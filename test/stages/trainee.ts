/**
 * Trains as its first argument says, and kills itself when a phase of a step begins, or some time after that: what a crash
 * leaves.
 */
import type { TrainConfigInput } from '../../lib/config/index.js'
import { train } from '../../lib/stages/train.js'

const { config, phase, step, milliseconds, resume } = JSON.parse(process.argv[2]!) as {
  config: TrainConfigInput
  phase: string
  step: number
  milliseconds?: number
  resume: boolean
}

const die = () => process.kill(process.pid, 'SIGKILL')
await train(config, {
  resume,
  onEvent: event => {
    if (event.type !== 'phase' || event.phase !== phase || event.step !== step) return
    if (milliseconds === undefined) die()
    else setTimeout(die, milliseconds)
  },
})
