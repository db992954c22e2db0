/** What is held in memory while a data set is explained: the models, or what reaches them. */
import type { ExplainConfig } from '../../config/index.js'
import { hashCounters, purposes, type Reader, type Row, teacherPrompt, whyTooLong } from '../../data/index.js'
import type { Model } from '../../engine/index.js'
import type { LoadedJudges } from '../shared/judges.js'
import { type Request, sampleExplanations } from '../shared/sampling.js'
import type { Failure, SampledExplanations } from './selection.js'
import { ServerTeacher } from './server.js'
import type { ExplainWork, PlacedRow } from './work.js'

/** The explanations of a batch, and the questions that cannot be asked. */
export interface SampledBatch {
  sampled: SampledExplanations[]
  failures: Failure[]
}

/** A batch that is being sampled. */
interface Sampling {
  batch: Promise<SampledBatch>
  /** From now on it is the batch that is worked on, whose progress is told. */
  follow: () => void
}

export interface PlacedRequest extends Request {
  /** In the data source, from 0. */
  place: number
}

export class ExplainSession {
  private constructor(
    private readonly config: ExplainConfig,
    private readonly work: ExplainWork,
    readonly judges: LoadedJudges,
    private readonly server: ServerTeacher | undefined,
    /** Ends what the server is still asked for. */
    private readonly over: AbortController,
  ) {}

  static async start(config: ExplainConfig, work: ExplainWork): Promise<ExplainSession> {
    const over = new AbortController()
    const signal = work.signal === undefined ? over.signal : AbortSignal.any([work.signal, over.signal])
    const server = config.teacher.server === null ? undefined : new ServerTeacher(config, signal)
    return new ExplainSession(config, work, await work.judges.load(work.signal), server, over)
  }

  /**
   * What is left to do, sampled. A server samples the next batch while this machine scores the one before; a teacher on
   * this machine does not, for it would only take from the scoring what it gains.
   */
  async *sampledBatches(): AsyncGenerator<SampledBatch, undefined> {
    const batches = this.work.batches()
    const begin = (): Sampling | undefined => {
      const { value } = batches.next()
      return value && this.begin(value)
    }
    let next: Sampling | undefined
    try {
      for (next = begin(); next !== undefined; next ??= begin()) {
        next.follow()
        const current = await next.batch
        next = this.server && begin()
        yield current
      }
    } finally {
      this.over.abort()
      await next?.batch.catch(() => {})
    }
  }

  private begin(rows: readonly PlacedRow[]): Sampling {
    const { requests, failures } = this.requests(rows)
    const total = requests.reduce((sum, { samples }) => sum + samples, 0)
    let done = 0
    let followed = false
    const tell = () => {
      if (followed) this.work.progress('sample', total === 0 ? 1 : done / total)
    }
    const sampled = this.sample(requests, () => {
      done++
      tell()
    })
    const batch = sampled.then(groups => ({ sampled: groups, failures }))
    batch.catch(() => {}) // it is thrown where the batch is waited for
    const follow = () => {
      followed = true
      tell()
    }
    return { batch, follow }
  }

  private requests(batch: readonly PlacedRow[]) {
    const { format, sampling, seed } = this.config
    const requests: PlacedRequest[] = []
    const failures: Failure[] = []
    for (const { row, place } of batch) {
      const reason = this.whyTooLong(row)
      if (reason !== undefined) failures.push({ place, row, reason })
      else
        requests.push({
          ...{ row, place, samples: sampling.completions },
          prefix: teacherPrompt(row, format, this.judges.tokenizer),
          seed: hashCounters(seed, purposes.sample, place),
        })
    }
    return { requests, failures }
  }

  private async sample(
    requests: readonly PlacedRequest[],
    onSample: () => void,
  ): Promise<SampledExplanations[]> {
    if (this.server !== undefined) return this.server.sample(requests, this.judges.tokenizer, onSample)
    const groups = await sampleExplanations(requests, this.judges.teacher!, this.config, {
      signal: this.work.signal,
      onSample,
    })
    return groups.map((group, i) => ({ ...group, place: requests[i]!.place, refusals: [] }))
  }

  dispose(): void {
    this.judges.dispose()
  }

  /** Where the teacher is at a server only, how long its context is shows when it is asked. */
  private whyTooLong(row: Row): string | undefined {
    const { data, format, sampling, teacher } = this.config
    const { judges } = this
    const reader = (name: string, { tokenizer, configuration }: Model): Reader => ({
      ...{ name, tokenizer, maxPositions: configuration.maxPositions },
    })
    const unknown = {
      name: teacher.model,
      tokenizer: judges.tokenizer,
      maxPositions: Number.POSITIVE_INFINITY,
    }
    return whyTooLong(
      row,
      judges.teacher ? reader(teacher.weights ?? teacher.model, judges.teacher) : unknown,
      judges.students.map(({ name, model }) => reader(name, model)),
      {
        ...{ format, maxPromptTokens: data.maxPromptTokens, maxNewTokens: sampling.maxNewTokens },
        // A short explanation may fit where a long one does not: whether it does is seen when it is there.
        explanationTokens: 1,
      },
    )
  }
}
