/**
 * Rewards by the content of rows. One folder for each way of scoring (models, format, reward): what was scored in that
 * way once need not be scored again, whichever file it is in.
 */
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { RankConfig } from '../../config/index.js'
import { cacheFolder } from '../../models/index.js'
import { lockFolder, RunError } from '../../runs/index.js'
import { Journal } from '../shared/journal.js'
import type { RankOptions } from './result.js'
import type { Trace } from './traces.js'

export interface Score {
  /** Null where there is a failure. */
  reward: number | null
  /** Null is a part that was not computed. */
  parts: Record<string, number | null>
  /** Why there is no reward. */
  failure?: string
}

/** Scores of a batch, by key. */
type Entry = Record<string, Score>

export class ScoreCache {
  private constructor(
    private readonly scores: Map<string, Score>,
    /** Undefined where nothing is kept. */
    private readonly journal: Journal<Entry> | undefined,
    private readonly unlock: () => Promise<void>,
  ) {}

  /** @param identity of the way of scoring */
  static async open(
    folder: RankConfig['cache'],
    identity: string,
    { onEvent }: RankOptions,
  ): Promise<ScoreCache> {
    const scores = new Map<string, Score>()
    if (folder === null) return new ScoreCache(scores, undefined, async () => {})
    const own = join(folder === 'user' ? join(cacheFolder(), 'rank') : resolve(folder), identity.slice(0, 32))
    await mkdir(own, { recursive: true }).catch(error => {
      throw new RunError(`cache: ${own} cannot be made: ${(error as Error).message}`, { cause: error })
    })
    let unlock: () => Promise<void>
    try {
      unlock = await lockFolder(own)
    } catch (error) {
      if (!(error instanceof RunError)) throw error
      onEvent?.({
        type: 'message',
        level: 'warning',
        text: `warning: the cache of rewards is not used, for another process scores in the same way: ${error.message}`,
      })
      return new ScoreCache(scores, undefined, async () => {})
    }
    try {
      const journal = await Journal.open<Entry>(join(own, 'scores.jsonl'), identity)
      for await (const entry of journal.entries())
        for (const [key, score] of Object.entries(entry)) scores.set(key, score)
      return new ScoreCache(scores, journal, unlock)
    } catch (error) {
      await unlock()
      throw error
    }
  }

  get(key: string): Score | undefined {
    return this.scores.get(key)
  }

  /** When it returns, the scores are on the disk. */
  async add(scores: ReadonlyMap<string, Score>): Promise<void> {
    if (scores.size === 0) return
    for (const [key, score] of scores) this.scores.set(key, score)
    await this.journal?.append(Object.fromEntries(scores))
  }

  async close(): Promise<void> {
    await this.unlock()
  }
}

/** Of everything of a row that can enter a reward. */
export function contentKey({ row, explanation }: Trace): string {
  const content = JSON.stringify([row.question, row.solution, row.answer, explanation])
  return createHash('sha256').update(content).digest('base64url')
}
