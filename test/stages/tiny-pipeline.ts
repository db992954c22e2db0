/** A pipeline through all stages, small enough to be run several times in a test, and what is compared of two of them. */
import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PipelineConfigInput } from '../../lib/stages/pipeline.js'
import { type DeepPartial, dataFile, folder, type JsonRow, merge, model, results } from './tiny-run.js'

const machine = { device: 'cpu', threads: 1 }
const format = { style: 'plain' }
const sampling = { completions: 3, maxNewTokens: 48 }
const students = [{ model, dtype: 'float32' }]

/** train, then explain with what it made, then rank the explanations, each in a new folder. */
export async function tinyPipeline(
  changes: DeepPartial<PipelineConfigInput> = {},
): Promise<PipelineConfigInput> {
  const teacher = { model: '${stages.train.model}', dtype: 'float32' }
  const base = {
    folder: await mkdtemp(join(folder, 'pipeline-')),
    stages: {
      // Not in the order in which they are run.
      rank: {
        stage: 'rank',
        config: {
          ...{ ...machine, teacher, students, format, rowsPerBatch: 4 },
          data: { path: '${stages.explain.explanations}' },
        },
      },
      train: {
        stage: 'train',
        config: {
          ...{ ...machine, format, sampling, students, reward: { missingEnd: -8 } },
          ...{ teacher: { model, dtype: 'float32' }, optimizer: { learningRate: 1e-3 } },
          data: { train: { path: dataFile }, heldOut: { rows: 2 } },
          training: { steps: 2, promptsPerStep: 2, saveEvery: 1, heldOutCompletions: 1 },
        },
      },
      explain: {
        stage: 'explain',
        config: {
          ...{ ...machine, teacher, students, format, sampling, questionsPerBatch: 3 },
          data: { path: dataFile },
        },
      },
    },
  }
  return merge(base, changes) as PipelineConfigInput
}

/** All that two equal pipelines have in common. */
export async function outputs(pipeline: string): Promise<JsonRow> {
  const text = (name: string) => readFile(join(pipeline, name), 'utf8')
  return {
    train: await results(join(pipeline, 'train')),
    explain: await text('explain/explanations.jsonl'),
    rank: await text('rank/explanations.jsonl'),
    histogram: await text('rank/rewards.svg'),
  }
}
