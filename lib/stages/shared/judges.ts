/** The models of a stage that trains none: each in memory once, whatever its roles. */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { FormatConfig, RewardConfig, SamplingConfig } from '../../config/index.js'
import { type Dtype, Model } from '../../engine/index.js'
import { type DownloadProgress, type ModelFiles, resolveModel } from '../../models/index.js'
import { loadTerms, type Term } from '../../rewards/index.js'
import type { Judges } from './scoring.js'
import { checkNaturalness, type Student } from './students.js'

type WantedDtype = Dtype | 'auto'

export interface JudgesConfig {
  /** Null where no weights of a teacher are at hand. */
  teacher: { model: string; dtype: WantedDtype } | null
  students: readonly { model: string; dtype: WantedDtype; weight: number }[]
  device: 'auto' | 'cpu' | 'cuda'
  threads: number
  tokenBudget: number
  format: FormatConfig
  reward: RewardConfig
  sampling?: SamplingConfig
}

interface FetchOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: DownloadProgress) => void) | undefined
}

/** What is cheap to know of the judges before their weights are loaded. */
export class FoundJudges {
  private constructor(
    private readonly config: JudgesConfig,
    private readonly terms: Term[],
    private readonly files: ReadonlyMap<string, ModelFiles>,
    /** Differs where rewards would: with other weights, another format, another reward. */
    readonly identity: string,
  ) {}

  /**
   * Fetches what is not on this machine yet.
   * @throws {ConfigurationError} a reward module cannot be loaded
   * @throws {ModelError} a model cannot be found
   */
  static async find(config: JudgesConfig, options: FetchOptions): Promise<FoundJudges> {
    const terms = await loadTerms(config.reward.terms)
    const files = new Map<string, ModelFiles>()
    const names = [config.teacher?.model, ...config.students.map(({ model }) => model)]
    for (const name of names)
      if (name !== undefined && name !== 'teacher' && !files.has(name))
        files.set(name, await resolveModel(name, options))

    const hash = createHash('sha256')
    const { format, reward, teacher, students } = config
    hash.update(JSON.stringify([1, format, reward, teacher?.dtype, students]))
    for (const name of names) hash.update(`\n${await weightsIdentity(files.get(name ?? 'teacher'))}`)
    for (const { module } of reward.terms) hash.update(`\n${await readFile(module, 'utf8').catch(() => '')}`)
    return new FoundJudges(config, terms, files, hash.digest('hex'))
  }

  /** Names of the user's own terms, as the parts of a reward have them. */
  get termNames(): string[] {
    return this.terms.map(({ name }) => name)
  }

  /**
   * Loads the models.
   * @throws {ModelError} a model cannot be loaded
   * @throws {ConfigurationError} a student cannot judge what the configuration wants it to
   */
  async load(signal?: AbortSignal): Promise<LoadedJudges> {
    const { config } = this
    const loaded = new Map<string, Model>()
    const load = async (name: string, dtype: WantedDtype): Promise<Model> => {
      const key = `${dtype} ${name}`
      const known = loaded.get(key)
      if (known) return known
      const model = await Model.load(this.files.get(name)!, {
        ...{ dtype, device: config.device, signal },
        ...(config.threads > 0 ? { threads: config.threads } : {}),
      })
      loaded.set(key, model)
      return model
    }
    try {
      const teacher = config.teacher && (await load(config.teacher.model, config.teacher.dtype))
      const models: Model[] = []
      for (const { model, dtype } of config.students) {
        const same = model === 'teacher' && (dtype === 'auto' || dtype === teacher?.dtype)
        models.push(same ? teacher! : await load(model === 'teacher' ? config.teacher!.model : model, dtype))
      }
      const { tokenizer } = teacher ?? models[0]!
      const students = config.students.map(({ model: name, weight }, i): Student => {
        const model = models[i]!
        const student = { name, sharesTokenizer: model.tokenizer.fingerprint === tokenizer.fingerprint }
        checkNaturalness(student, config.teacher?.model ?? '', config.reward)
        return { ...student, model, weight }
      })
      return {
        ...{ teacher: teacher ?? undefined, tokenizer, students, terms: this.terms, config },
        callOptions: {
          ...(signal ? { signal } : {}),
          ...(config.tokenBudget > 0 ? { tokenBudget: config.tokenBudget } : {}),
        },
        dispose: () => disposeAll(loaded),
      }
    } catch (error) {
      disposeAll(loaded)
      throw error
    }
  }
}

export interface LoadedJudges extends Judges {
  dispose(): void
}

function disposeAll(models: ReadonlyMap<string, Model>): void {
  for (const model of models.values()) model.dispose()
}

/** Names, sizes and times of change of a model's files: enough to notice other weights without reading gigabytes. */
export async function weightsIdentity(files: ModelFiles | undefined): Promise<string> {
  if (files === undefined) return ''
  const names =
    files.kind === 'gguf' ? [files.file] : (await readdir(files.folder)).map(name => join(files.folder, name))
  const seen = await Promise.all(
    names.sort().map(async file => {
      const { size, mtimeMs } = await stat(file)
      return /\.(safetensors|gguf|json|jinja)$/.test(file)
        ? `${file.split('/').at(-1)} ${size} ${mtimeMs}`
        : ''
    }),
  )
  return seen.join('\n')
}
