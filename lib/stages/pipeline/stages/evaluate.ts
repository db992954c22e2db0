import { join } from 'node:path'
import { type EvaluateConfig, evaluateKind } from '../../../config/index.js'
import { evaluate } from '../../evaluate.js'
import type { PipelineStage } from '../registry.js'

export const evaluateStage: PipelineStage<EvaluateConfig> = {
  kind: evaluateKind,
  placed: folder => ({ output: { folder } }),
  inputs: ['models[].model', 'tasks[].path'],
  outputs: (_, folder) => ({ outputs: join(folder, 'outputs.jsonl'), summary: join(folder, 'summary.json') }),
  async run(config, { signal, message, progress }) {
    const { finished } = await evaluate(config, {
      signal,
      onEvent: event => {
        if (event.type === 'message') message(event.text, event.level)
        else if (event.type === 'batch')
          progress({
            done: event.questions,
            total: event.totalQuestions,
            unit: 'questions',
            meanReward: null,
          })
      },
    })
    return finished
  },
}
