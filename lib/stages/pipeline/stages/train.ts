import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type TrainConfig, trainKind } from '../../../config/index.js'
import { writeReport } from '../../../report/index.js'
import { train } from '../../train.js'
import type { PipelineStage } from '../registry.js'

export const trainStage: PipelineStage<TrainConfig> = {
  kind: trainKind,
  placed: folder => ({ output: { folder } }),
  inputs: [
    ...['teacher.model', 'students[].model', 'data.train.path', 'data.heldOut.path'],
    'reward.terms[].module',
  ],
  outputs: ({ training }, folder) => ({ model: join(folder, 'checkpoints', `step-${training.steps}`) }),
  async run(config, { folder, resume, signal, message, progress }) {
    // Killed before it had begun to write, a run is no run yet.
    const begun = await stat(join(folder, 'config.yaml')).catch(() => undefined)
    const { finished } = await train(config, {
      signal,
      resume: resume && begun !== undefined,
      onStep: ({ step, reward }) =>
        progress({ done: step, total: config.training.steps, unit: 'steps', meanReward: reward ?? null }),
      onEvent: event => {
        if (event.type === 'message') message(event.text, event.level)
      },
    })
    await writeReport(folder)
    return finished
  },
}
