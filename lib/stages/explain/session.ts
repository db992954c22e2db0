/** What is held in memory while a data set is explained: the models, or what reaches them. */
import type { ExplainConfig } from '../../config/index.js'
import { hashCounters, purposes, type Reader, type Row, teacherPrompt, whyTooLong } from '../../data/index.js'
import type { Model } from '../../engine/index.js'
import type { LoadedJudges } from '../shared/judges.js'
import { type Request, sampleExplanations } from '../shared/sampling.js'
import type { Failure, SampledExplanations } from './selection.js'
import { ServerTeacher } from './server.js'
import type { ExplainWork, PlacedRow } from './work.js'

/** Questions of a batch that can be asked, and those that cannot. */
export interface BatchRequests {
  requests: PlacedRequest[]
  failures: Failure[]
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
  ) {}

  static async start(config: ExplainConfig, work: ExplainWork): Promise<ExplainSession> {
    const server = config.teacher.server === null ? undefined : new ServerTeacher(config, work.signal)
    return new ExplainSession(config, work, await work.judges.load(work.signal), server)
  }

  requests(batch: readonly PlacedRow[]): BatchRequests {
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

  async sample(requests: readonly PlacedRequest[]): Promise<SampledExplanations[]> {
    const total = requests.reduce((sum, { samples }) => sum + samples, 0)
    let done = 0
    this.work.progress('sample', 0)
    const onSample = () => this.work.progress('sample', ++done / total)
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
