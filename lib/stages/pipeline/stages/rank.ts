import { join } from 'node:path'
import { type RankConfig, rankKind } from '../../../config/index.js'
import { rank } from '../../rank.js'
import type { PipelineStage } from '../registry.js'

export const rankStage: PipelineStage<RankConfig> = {
  kind: rankKind,
  placed: folder => ({
    output: { path: join(folder, 'explanations.jsonl'), histogram: join(folder, 'rewards.svg') },
  }),
  // Beside the folder, so that it outlives a change of what is only done with the rewards.
  suggested: folder => ({ cache: `${folder}.scores` }),
  inputs: ['teacher.model', 'students[].model', 'data.path', 'reward.terms[].module'],
  outputs: ({ output, partitions }) => {
    const path = output.path!
    if (!output.split || partitions === null) return { explanations: path }
    const file = (i: number) => `${path.slice(0, -'.jsonl'.length)}.partition-${i}.jsonl`
    return Object.fromEntries(
      Array.from({ length: partitions }, (_, i) => [`partition-${i + 1}`, file(i + 1)]),
    )
  },
  async run(config, { signal, message, progress }) {
    const { finished } = await rank(config, {
      signal,
      onEvent: event => {
        if (event.type === 'message') message(event.text, event.level)
        else
          progress({
            ...{ done: event.rows, total: event.totalRows, unit: 'rows', meanReward: event.meanReward },
          })
      },
    })
    return finished
  },
}
