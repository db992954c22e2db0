/** Runs a pipeline, and kills itself some time after its n-th event: what a crash leaves. */
import { runPipeline } from '../../lib/stages/pipeline.js'

const { config, event, milliseconds } = JSON.parse(process.argv[2]!)

let seen = 0
await runPipeline(config, {
  onEvent: () => {
    if (++seen === event) setTimeout(() => process.kill(process.pid, 'SIGKILL'), milliseconds)
  },
})
