/** The two stages of supervised fine-tuning. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { distillKind, type RunKind, type SftConfig, warmupKind } from '../../../config/index.js'
import { writeReport } from '../../../report/index.js'
import { distill } from '../../distill.js'
import type { SftResult } from '../../sft/finetune.js'
import type { TrainOptions } from '../../shared/run.js'
import { warmup } from '../../warmup.js'
import type { PipelineStage } from '../registry.js'

export const warmupStage = sftStage(warmupKind, 'teacher', warmup)
export const distillStage = sftStage(distillKind, 'student', distill)

function sftStage<Config extends Pick<SftConfig, 'training'>>(
  kind: RunKind<Config>,
  role: 'teacher' | 'student',
  run: (config: Config, options: TrainOptions) => Promise<SftResult>,
): PipelineStage<Config> {
  return {
    kind,
    placed: folder => ({ output: { folder } }),
    inputs: [`${role}.model`, 'data.train.path', 'data.heldOut.path'],
    outputs: (_, folder) => ({ model: join(folder, 'model') }),
    async run(config, { folder, resume, signal, message, progress }) {
      // Killed before it had begun to write, a run is no run yet.
      const begun = await stat(join(folder, 'config.yaml')).catch(() => undefined)
      let total = config.training.steps ?? 0
      const { finished } = await run(config, {
        signal,
        resume: resume && begun !== undefined,
        onStep: ({ step }) => progress({ done: step, total, unit: 'steps', meanReward: null }),
        onEvent: event => {
          if (event.type === 'message') message(event.text, event.level)
          else if (event.type === 'begin') total = event.steps
        },
      })
      await writeReport(folder)
      return finished
    },
  }
}
