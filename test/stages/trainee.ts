/** Trains as its first argument says, and kills itself when a phase of a step begins: what a crash leaves. */
import type { TrainConfigInput } from '../../lib/config/index.js'
import { train } from '../../lib/stages/train.js'

const { config, phase, step, resume } = JSON.parse(process.argv[2]!) as {
  config: TrainConfigInput
  phase: string
  step: number
  resume: boolean
}

await train(config, {
  resume,
  onEvent: event => {
    if (event.type === 'phase' && event.phase === phase && event.step === step)
      process.kill(process.pid, 'SIGKILL')
  },
})
