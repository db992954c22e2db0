/**
 * The folder of one run: `config.yaml`, `metrics.jsonl`, `completions/`, `checkpoints/`, `report.html`.
 * What has been written stays valid whenever the process ends.
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { UsageError } from '../errors.js'
import {
  type CheckpointState,
  type FoundCheckpoint,
  latestCheckpoint,
  recoverCheckpoints,
  saveCheckpoint,
  setLaterAside,
} from './checkpoints.js'
import { RunError } from './errors.js'
import { appendDurably, writeFileAtomic } from './files.js'
import { lockFolder } from './lock.js'

/** One training step. Values that are not finite are written as null. */
export interface MetricsRow {
  step: number
  [name: string]: number | null
}

/** One sampled explanation, as much of it as the writer wants to keep. */
export type CompletionRow = Record<string, unknown>

export class RunFolder {
  private constructor(
    /** Absolute. */
    readonly folder: string,
    private readonly unlock: () => Promise<void>,
  ) {}

  /**
   * Starts a run in a new folder, or in one that holds no results yet.
   * @param config the resolved configuration as YAML
   * @param command that goes on with such a run, for messages
   * @throws {RunError} the folder holds a run already, is in use, or cannot be written
   */
  static async create(folder: string, config: string, command = 'train'): Promise<RunFolder> {
    const run = await RunFolder.lock(folder)
    try {
      if (await run.hasResults())
        throw new RunError(
          `${folder} holds a run already. Go on with it: rlt ${command} --resume ${folder}\n` +
            'or start another beside it: --set output.folder=…',
        )
      await run.writeConfig(config)
      return run
    } catch (error) {
      await run.close()
      throw error
    }
  }

  /**
   * Opens the folder of a run to go on with it.
   * @throws {UsageError} there is no run
   * @throws {RunError} it is in use
   */
  static async open(folder: string): Promise<RunFolder> {
    if (!(await exists(join(folder, 'config.yaml'))))
      throw new UsageError(`${folder} is not a run folder: there is no config.yaml in it`)
    return RunFolder.lock(folder)
  }

  private static async lock(folder: string): Promise<RunFolder> {
    const absolute = resolve(folder)
    try {
      await mkdir(join(absolute, 'checkpoints'), { recursive: true })
    } catch (error) {
      throw new RunError(`The run folder ${folder} cannot be made: ${(error as Error).message}`, {
        cause: error,
      })
    }
    const unlock = await lockFolder(absolute)
    const run = new RunFolder(absolute, unlock)
    await recoverCheckpoints(run.checkpoints)
    return run
  }

  get checkpoints(): string {
    return join(this.folder, 'checkpoints')
  }
  get configFile(): string {
    return join(this.folder, 'config.yaml')
  }
  get metricsFile(): string {
    return join(this.folder, 'metrics.jsonl')
  }
  get reportFile(): string {
    return join(this.folder, 'report.html')
  }

  async writeConfig(config: string): Promise<void> {
    await writeFileAtomic(this.configFile, config)
  }

  async appendMetrics(row: MetricsRow): Promise<void> {
    await appendDurably(this.metricsFile, `${JSON.stringify(row)}\n`)
  }

  async writeCompletions(step: number, rows: readonly CompletionRow[]): Promise<void> {
    const text = rows.map(row => `${JSON.stringify(row)}\n`).join('')
    await mkdir(join(this.folder, 'completions'), { recursive: true })
    await writeFileAtomic(completionsFile(this.folder, step), text)
  }

  /**
   * @param write fills the folder with the model (`model.save(folder)`) and, in `folder/training/`, with what else is
   *   needed to go on; what it returns is kept as `training/state.json`
   * @param best step of a checkpoint that stays whatever `keep` says
   * @returns the checkpoint's folder
   */
  async saveCheckpoint(
    step: number,
    write: (folder: string) => Promise<CheckpointState>,
    { keep = Number.POSITIVE_INFINITY, best }: { keep?: number; best?: number | undefined } = {},
  ): Promise<string> {
    return saveCheckpoint(this.checkpoints, step, write, { keep, best })
  }

  /**
   * The newest checkpoint that is whole, each file checked against its checksum.
   * @throws {RunError} if there are checkpoints and all are damaged
   */
  async latestCheckpoint(): Promise<FoundCheckpoint | undefined> {
    return latestCheckpoint(this.checkpoints)
  }

  /**
   * Forgets what was written after `step`: a run that is resumed there writes it again, and every step is to be in
   * the metrics once.
   */
  async truncateAfter(step: number): Promise<void> {
    const rows = await readMetrics(this.folder)
    const kept = rows.filter(row => row.step <= step).map(row => `${JSON.stringify(row)}\n`)
    await writeFileAtomic(this.metricsFile, kept.join(''))
    for (const { step: later, file } of await listCompletions(this.folder)) if (later > step) await rm(file)
    await setLaterAside(this.checkpoints, step)
  }

  /** Lets go of the folder. */
  async close(): Promise<void> {
    await this.unlock()
  }

  private async hasResults(): Promise<boolean> {
    const metrics = await stat(this.metricsFile).then(
      found => found.size,
      () => 0,
    )
    return metrics > 0 || (await readdir(this.checkpoints)).length > 0
  }
}

/**
 * The metrics of a run, one row a step. A last line that is not complete, because the process was killed in its
 * midst, is left out.
 * @throws {RunError} naming the line that is broken, if it is not the last
 */
export async function readMetrics(folder: string): Promise<MetricsRow[]> {
  return readRows(join(folder, 'metrics.jsonl'))
}

/** The measurements on held-out rows, `held_out/…` at the steps at which they were made; 0 is before the first. */
export async function readEvaluations(folder: string): Promise<MetricsRow[]> {
  return readRows(join(folder, 'evaluation.jsonl'))
}

async function readRows(file: string): Promise<MetricsRow[]> {
  const text = await readFile(file, 'utf8').catch(error => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const lines = text.split('\n')
  const rows: MetricsRow[] = []
  for (const [i, line] of lines.entries()) {
    if (line === '') continue
    try {
      rows.push(JSON.parse(line) as MetricsRow)
    } catch (error) {
      if (i === lines.length - 1) break
      throw new RunError(`${file}:${i + 1}: this line is not JSON: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }
  return rows
}

/** The sampled explanations that were kept, one file a step, in the order of steps. */
export async function listCompletions(folder: string): Promise<{ step: number; file: string }[]> {
  const names = await readdir(join(folder, 'completions')).catch(() => [])
  return names
    .map(name => ({
      step: Number(/^step-(\d+)\.jsonl$/.exec(name)?.[1]),
      file: join(folder, 'completions', name),
    }))
    .filter(({ step }) => Number.isInteger(step))
    .sort((a, b) => a.step - b.step)
}

/** Steps are padded so that a folder listing is in their order. */
function completionsFile(folder: string, step: number): string {
  return join(folder, 'completions', `step-${String(step).padStart(6, '0')}.jsonl`)
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
