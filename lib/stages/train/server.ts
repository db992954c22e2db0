/**
 * A server that samples for training. What it gave is trained on as samples of another policy: its rounding is another,
 * and its weights are those of the last update, so `importanceSampling.ts` corrects for it.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { SamplingServerConfig, TrainConfig } from '../../config/index.js'
import { explanationOf, stopsOf, teacherPromptText } from '../../data/index.js'
import type { Model } from '../../engine/index.js'
import { ConfigurationError, ServerError } from '../../errors.js'
import { JsonClient } from '../shared/json-client.js'
import type { TrainingRun } from '../shared/run.js'
import type { ExplanationGroup, Request } from '../shared/sampling.js'
import { inParallel } from '../shared/sampling-server.js'
import { type Protocol, protocols, type Sampled } from './server-protocols.js'

interface Completion {
  tokens: Int32Array
  /** NaN where the server does not tell. */
  logProbs: Float32Array
  finish: 'stop' | 'length'
}

export class TrainingServer {
  private readonly client: JsonClient
  private readonly protocol: Protocol
  /** The name that completions are asked of: that of the adapter, once there is one. */
  private model: string
  /** The step whose weights it has. */
  private weightsOf = 0
  private weightsFolder: string | undefined
  private hasWarned = false
  /** Adapters of an earlier process of this run may still be at the server. */
  private readonly process = randomUUID().slice(0, 8)

  /** @throws {ConfigurationError} there is no variable with the key */
  constructor(
    private readonly options: SamplingServerConfig,
    private readonly config: TrainConfig,
    private readonly run: TrainingRun,
  ) {
    const { apiKeyVariable, requests, address } = options
    const bearer = apiKeyVariable === null ? undefined : process.env[apiKeyVariable]
    if (apiKeyVariable !== null && !bearer)
      throw new ConfigurationError(
        `sampling.server.apiKeyVariable: the environment has no variable ${apiKeyVariable}; set it to the server's key`,
      )
    this.client = new JsonClient(address.replace(/(\/v1)?\/*$/, ''), {
      ...{ ...requests, bearer, option: 'sampling.server', addressOption: 'sampling.server.address' },
    })
    this.protocol = protocols[options.kind]
    this.model = options.model
  }

  private get signal(): AbortSignal {
    return this.run.signal ?? new AbortController().signal
  }

  /** @throws {ServerError} a completion cannot be had, after as many tries as are configured */
  async sample(
    requests: readonly Request[],
    teacher: Model,
    onSample: () => void,
  ): Promise<ExplanationGroup[]> {
    const { format, sampling } = this.config
    const { tokenizer } = teacher
    const stop = stopsOf(format, teacher.configuration.endOfSequenceTokens)
    const jobs = requests.flatMap(request =>
      Array.from({ length: request.samples }, (_, sample) => ({
        prompt: request.prefix,
        promptText: teacherPromptText(request.row, format, tokenizer),
        // Servers take a seed of 31 bits.
        seed: Number(BigInt.asUintN(31, request.seed + BigInt(sample))),
      })),
    )
    const { concurrency } = this.options.requests
    const completions = await inParallel(jobs, concurrency, this.run.signal, async (job, signal) => {
      const body = this.protocol.body(job, this.model, sampling, stop)
      const { value, url } = await this.client.post(this.protocol.path, body, signal)
      const completion = this.completionOf(this.protocol.read(value, url), teacher, url)
      onSample()
      return completion
    })
    this.run.signal?.throwIfAborted()
    let next = 0
    return requests.map(({ row, prefix, samples }) => {
      const mine = completions.slice(next, next + samples)
      next += samples
      return {
        ...{ row, prefix },
        suffixes: mine.map(({ tokens }) => tokens),
        logProbs: mine.map(({ logProbs }) => logProbs),
        finish: mine.map(({ finish }) => finish),
        explanations: mine.map(({ tokens, finish }) =>
          explanationOf(tokens, finish === 'stop', format, tokenizer),
        ),
      }
    })
  }

  private completionOf(sampled: Sampled, teacher: Model, url: string): Completion {
    const { vocabularySize } = teacher.configuration
    const tokens = Int32Array.from(sampled.tokens ?? this.tokenise(sampled, teacher))
    if (tokens.length === 0) throw new ServerError(`${url}: the completion is empty`, true)
    const foreign = tokens.find(token => token < 0 || token >= vocabularySize)
    if (foreign !== undefined)
      throw new ServerError(
        `${url}: token ${foreign} is none of the teacher's ${vocabularySize}; the server has another model`,
        false,
      )
    const given = sampled.tokens === undefined ? [] : (sampled.logProbs ?? [])
    // A float32 holds no NaN of JSON: null and what is missing become one here.
    const logProbs = Float32Array.from(tokens, (_, t) => given[t] ?? Number.NaN)
    if (logProbs.every(Number.isNaN)) this.warnOfUnknown()
    return { tokens, logProbs, finish: sampled.stopped ? 'stop' : 'length' }
  }

  /** A text may have been written with other tokens than those that it is read with. */
  private tokenise({ text, stopped, cause }: Sampled, { tokenizer, configuration }: Model): Int32Array {
    const { endOfExplanation } = this.config.format
    const tokens = tokenizer.encode(text)
    if (!stopped) return tokens
    // Servers cut off what ended a text.
    const byTag = endOfExplanation !== 'endOfTurn' && (cause === undefined || cause === endOfExplanation.tag)
    if (byTag)
      return tokenizer.encode(text.includes(endOfExplanation.tag) ? text : text + endOfExplanation.tag)
    return Int32Array.from([...tokens, ...configuration.endOfSequenceTokens.slice(0, 1)])
  }

  private warnOfUnknown(): void {
    if (this.hasWarned) return
    this.hasWarned = true
    this.run.warn(
      'sampling.server gives no tokens with their log-probabilities: texts are tokenised again, and taken as if the ' +
        'teacher itself had written them. Nothing corrects for what differs',
    )
  }

  /** By how many steps its weights are behind those that the step began with. */
  stalenessOf(step: number): number {
    return step - 1 - this.weightsOf
  }

  /** Before the first step of this process: what weights the server has by then is not known. */
  async begin(teacher: Model): Promise<void> {
    if (this.options.update.kind === 'none') return
    // What a process that was killed has left: its server has read it, or will not.
    await rm(join(this.run.path, 'server-weights'), { recursive: true, force: true })
    await this.update(teacher, this.run.step)
  }

  /** @throws {ServerError} the server does not take the weights */
  async updateIfDue(teacher: Model, step: number): Promise<void> {
    const { kind, everySteps } = this.options.update
    if (kind !== 'none' && step % everySteps === 0 && step < this.config.training.steps)
      await this.update(teacher, step)
  }

  private async update(teacher: Model, step: number): Promise<void> {
    const folder = resolve(join(this.run.path, 'server-weights', `step-${step}`))
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    if (this.options.update.kind === 'sglang') await this.updateFromDisk(teacher, folder)
    else await this.loadAdapter(teacher, folder, step)
    if (this.weightsFolder !== undefined && this.weightsFolder !== folder)
      await rm(this.weightsFolder, { recursive: true, force: true })
    this.weightsFolder = folder
    this.weightsOf = step
  }

  /** SGLang, which empties its cache of prefixes itself. */
  private async updateFromDisk(teacher: Model, folder: string): Promise<void> {
    await teacher.save(folder)
    const { value, url } = await this.client.post(
      'update_weights_from_disk',
      { model_path: folder },
      this.signal,
    )
    const { success, message } = (value ?? {}) as { success?: boolean; message?: string }
    if (success !== true)
      throw new ServerError(`${url}: the server did not take the weights in ${folder}: ${message}`, false)
  }

  /** vLLM. A name of its own for each step, as prefixes are cached by the name. */
  private async loadAdapter(teacher: Model, folder: string, step: number): Promise<void> {
    await teacher.saveAdapter(folder, this.config.teacher.model)
    const name = `${this.options.model}-${this.process}-step-${step}`
    await this.client.postForText('v1/load_lora_adapter', { lora_name: name, lora_path: folder }, this.signal)
    if (this.model !== this.options.model)
      await this.client.postForText('v1/unload_lora_adapter', { lora_name: this.model }, this.signal)
    this.model = name
  }
}
