/** Gets answers of a model: on this machine or at a server. */
import { type EvaluateConfig, type EvaluatedModel, labelOfModel } from '../../config/index.js'
import { hashCounters, purposes } from '../../data/index.js'
import { Model } from '../../engine/index.js'
import type { ModelFiles } from '../../models/index.js'
import { SamplingServer } from '../shared/sampling-server.js'
import { promptTokens, serverPrompt, stopTexts, turnsOf } from './prompts.js'
import type { Question, Task } from './tasks.js'

export interface PlacedQuestion {
  question: Question
  /** In the task, from 0. */
  place: number
}

/** One completion, or why there is none. */
export interface Completion {
  text: string
  finish: 'stop' | 'length'
  /** Null where a server does not tell. */
  tokens: number | null
  failure?: string
}

export interface AnsweringModel {
  /** `[question][sample]` */
  answer(batch: readonly PlacedQuestion[], task: Task, onSample: () => void): Promise<Completion[][]>
  dispose(): void
}

/**
 * Seeds depend on the question's place alone, so that two models are asked with the same.
 */
const seedOf = ({ seed }: EvaluateConfig, place: number) => hashCounters(seed, purposes.evaluation, place)

export async function answeringModel(
  index: number,
  files: ModelFiles | undefined,
  config: EvaluateConfig,
  signal: AbortSignal | undefined,
): Promise<AnsweringModel> {
  const model = config.models[index]!
  if (model.server !== null) return new ModelAtServer(model, index, config, signal)
  const loaded = await Model.load(files!, {
    ...{ dtype: model.dtype, device: config.device, signal },
    ...(config.threads > 0 ? { threads: config.threads } : {}),
  })
  return new LocalModel(loaded, labelOfModel(model), config, signal)
}

class LocalModel implements AnsweringModel {
  constructor(
    private readonly model: Model,
    private readonly name: string,
    private readonly config: EvaluateConfig,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async answer(batch: readonly PlacedQuestion[], task: Task, onSample: () => void): Promise<Completion[][]> {
    const { config, model } = this
    const { samples, ...sampling } = config.sampling
    const requests = batch.map(({ question, place }) => ({
      prefix: promptTokens(turnsOf(question, task, config), config, model.tokenizer),
      ...{ samples, seed: seedOf(config, place) },
    }))
    const { maxPositions, endOfSequenceTokens } = model.configuration
    const stop = stopTexts(config)
    const groups = await model.sample(
      requests.filter(({ prefix }) => prefix.length < maxPositions),
      {
        ...{ ...sampling, signal: this.signal, stop: [...stop, ...endOfSequenceTokens] },
        onSample: () => onSample(),
      },
    )
    const next = groups.values()
    return requests.map(({ prefix }) => {
      if (prefix.length >= maxPositions) {
        const failure = `the prompt has ${prefix.length} tokens; the context of ${this.name} is ${maxPositions}`
        return Array.from({ length: samples }, () => ({ text: '', finish: 'length', tokens: 0, failure }))
      }
      const { suffixes, finish } = next.next().value!
      return suffixes.map((tokens, s) => {
        const isEnded = endOfSequenceTokens.includes(tokens.at(-1) ?? -1)
        const text = model.tokenizer.decode(isEnded ? tokens.subarray(0, -1) : tokens)
        return { text: withoutStop(text, stop), finish: finish[s]!, tokens: tokens.length }
      })
    })
  }

  dispose(): void {
    this.model.dispose()
  }
}

class ModelAtServer implements AnsweringModel {
  private readonly server: SamplingServer

  constructor(
    model: EvaluatedModel,
    index: number,
    private readonly config: EvaluateConfig,
    signal: AbortSignal | undefined,
  ) {
    this.server = new SamplingServer({ ...model, server: model.server! }, `models[${index}]`, signal)
  }

  async answer(batch: readonly PlacedQuestion[], task: Task, onSample: () => void): Promise<Completion[][]> {
    const { config } = this
    const { samples } = config.sampling
    const jobs = batch.flatMap(({ question, place }) =>
      Array.from({ length: samples }, (_, sample) => ({
        prompt: serverPrompt(turnsOf(question, task, config), config),
        seed: seedOf(config, place) + BigInt(sample),
        question: place,
      })),
    )
    const stop = stopTexts(config)
    const given = await this.server.sample(jobs, config.sampling, stop, onSample)
    const completions = given.map(
      ({ text, stopped, refusal }): Completion => ({
        ...{ text: withoutStop(text, stop), finish: stopped ? 'stop' : 'length', tokens: null },
        ...(refusal === undefined ? {} : { failure: refusal }),
      }),
    )
    return batch.map((_, i) => completions.slice(i * samples, (i + 1) * samples))
  }

  dispose(): void {}
}

function withoutStop(text: string, stop: readonly string[]): string {
  const ends = stop.map(tag => text.indexOf(tag)).filter(at => at >= 0)
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends))
}
