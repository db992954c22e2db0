import { join } from 'node:path'
import { type ExplainConfig, explainKind } from '../../../config/index.js'
import { explain } from '../../explain.js'
import type { PipelineStage } from '../registry.js'

export const explainStage: PipelineStage<ExplainConfig> = {
  kind: explainKind,
  placed: folder => ({
    output: { path: join(folder, 'explanations.jsonl'), failures: join(folder, 'failures.jsonl') },
  }),
  inputs: ['teacher.model', 'teacher.weights', 'students[].model', 'data.path', 'reward.terms[].module'],
  outputs: ({ output }) => ({ explanations: output.path }),
  async run(config, { signal, message, progress }) {
    const { finished } = await explain(config, {
      signal,
      onEvent: event => {
        if (event.type === 'message') message(event.text, event.level)
        else if (event.type === 'batch')
          progress({
            ...{ done: event.questions, total: event.totalQuestions, unit: 'questions' },
            meanReward: event.meanReward,
          })
      },
    })
    return finished
  },
}
