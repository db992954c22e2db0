/** What a teacher's explanations of held-out questions are worth, by the reward that it was trained with. */
import { type ExplainConfigInput, explainKind, parseConfig } from '../../lib/config/index.js'
import { hashCounters, purposes, readSource, teacherPrompt } from '../../lib/data/index.js'
import { FoundJudges } from '../../lib/stages/shared/judges.js'
import { sampleExplanations } from '../../lib/stages/shared/sampling.js'
import { scoreExplanations } from '../../lib/stages/shared/scoring.js'

/** One value a question, the mean over its explanations; null where it has none that was ended, and so no parts. */
export interface Judgement {
  /** With that of explanations that were not ended. */
  reward: number[]
  ended: number[]
  understanding: (number | null)[]
  naturalness: (number | null)[]
}

/** @param input of `rlt explain`: the teacher, the questions, how many explanations of each; its output is not written */
export async function judgeTeacher(input: ExplainConfigInput): Promise<Judgement> {
  const config = parseConfig(explainKind, input)
  const rows = await readSource(config.data, 'data')
  const judges = await (await FoundJudges.find(config, {})).load()
  try {
    const requests = rows.map((row, place) => ({
      row,
      prefix: teacherPrompt(row, config.format, judges.tokenizer),
      samples: config.sampling.completions,
      seed: hashCounters(config.seed, purposes.heldOut, place),
    }))
    const groups = await sampleExplanations(requests, judges.teacher!, config)
    const rewards = await scoreExplanations(groups, judges)
    const part = (name: 'understanding' | 'naturalness') =>
      rewards.map((group, g) => {
        const ended = group.filter((_, c) => groups[g]!.explanations[c]!.ended)
        return ended.length === 0 ? null : meanOf(ended.map(({ parts }) => parts[name]!))
      })
    return {
      reward: rewards.map(group => meanOf(group.map(({ reward }) => reward))),
      ended: groups.map(({ explanations }) => meanOf(explanations.map(({ ended }) => Number(ended)))),
      understanding: part('understanding'),
      naturalness: part('naturalness'),
    }
  } finally {
    judges.dispose()
  }
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
