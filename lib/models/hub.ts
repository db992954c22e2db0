/** Models of the hub: what is missing of a repository is fetched into the shared cache. */
import { join } from 'node:path'
import { HubApiError, type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub'
import { AbortedError, ModelError } from '../errors.js'
import { isWanted, RepositoryCache } from './hub-cache.js'
import { hubConnection, isNetworkFailure, isOffline } from './hub-connection.js'
import { downloadBlob, hashOf } from './hub-file.js'
import type { ModelFiles, ResolveOptions } from './source.js'

export interface HubModel {
  /** org/name */
  id: string
  /** One .gguf file of the repository, in place of a folder of safetensors. */
  path?: string | undefined
  /** A branch, a tag or a commit. */
  revision: string
}

export async function pullFromHub(model: HubModel, options: ResolveOptions): Promise<ModelFiles> {
  const cache = new RepositoryCache('model', model.id, options.cacheFolder)
  if (isOffline(options)) {
    const cached = await findCached(model, cache)
    if (cached) return cached
    throw new ModelError(
      `${describe(model)} is not complete in ${cache.folder}, and the hub may not be asked (offline)`,
    )
  }
  try {
    return await fetchMissing(model, cache, options)
  } catch (error) {
    if (options.signal?.aborted) throw new AbortedError(undefined, { cause: error })
    // Without a network, what was fetched earlier will do.
    const cached = isNetworkFailure(error) ? await findCached(model, cache) : undefined
    if (cached) return cached
    throw explain(error, model)
  }
}

async function fetchMissing(
  { id, path, revision }: HubModel,
  cache: RepositoryCache,
  options: ResolveOptions,
): Promise<ModelFiles> {
  const parameters = await hubConnection(options)
  const { sha: commit } = await modelInfo({ ...parameters, name: id, revision, additionalFields: ['sha'] })
  const repo = { type: 'model', name: id } as const
  const entries: ListFileEntry[] = []
  for await (const entry of listFiles({
    ...parameters,
    repo,
    revision: commit,
    recursive: path?.includes('/'),
  }))
    if (entry.type === 'file') entries.push(entry)

  for (const entry of choose(entries, { id, path, revision })) {
    if (await cache.has(commit, entry.path)) continue
    const hash = hashOf(entry)
    await downloadBlob(entry, cache.blob(hash), { ...parameters, repo, revision: commit }, options)
    await cache.link(commit, entry.path, hash)
  }
  // Last, so that the name never stands for an incomplete snapshot.
  await cache.rememberCommit(revision, commit)
  return filesOf(cache.snapshot(commit), commit, path)
}

function choose(entries: ListFileEntry[], model: HubModel): ListFileEntry[] {
  const names = entries.map(entry => entry.path)
  if (model.path) {
    const entry = entries.find(({ path }) => path === model.path)
    if (entry) return [entry]
    throw new ModelError(
      `${describe(model)}: there is no such file in the repository; it has ${names.join(', ')}`,
    )
  }
  const wanted = entries.filter(({ path }) => isWanted(path))
  if (wanted.some(({ path }) => path.endsWith('.safetensors'))) return wanted
  const ggufs = names.filter(name => name.endsWith('.gguf'))
  if (ggufs.length > 0)
    throw new ModelError(
      `${describe(model)} holds GGUF files: name one, e.g. ${model.id}/${ggufs[0]} (of ${ggufs.join(', ')})`,
    )
  throw new ModelError(
    `${describe(model)} has no safetensors: expected model.safetensors, found ${names.join(', ')}. ` +
      'A pickle (pytorch_model.bin) can run code when it is read, and is not taken: ' +
      'convert it where transformers is installed, with from_pretrained(…).save_pretrained(FOLDER)',
  )
}

async function findCached(
  { path, revision }: HubModel,
  cache: RepositoryCache,
): Promise<ModelFiles | undefined> {
  const commit = await cache.commitOf(revision)
  if (!commit) return undefined
  const complete = path ? await cache.has(commit, path) : await cache.isComplete(commit)
  return complete ? filesOf(cache.snapshot(commit), commit, path) : undefined
}

function filesOf(folder: string, revision: string, path: string | undefined): ModelFiles {
  return path ? { kind: 'gguf', file: join(folder, path) } : { kind: 'folder', folder, revision }
}

function explain(error: unknown, model: HubModel): ModelError {
  if (error instanceof ModelError) return error
  const { message, cause } = error as Error
  const say = (text: string) => new ModelError(`${describe(model)}: ${text}`, { cause: error })
  if (isNetworkFailure(error))
    return say(
      `the hub cannot be reached (${(cause as Error | undefined)?.message ?? message}). Is there a network?`,
    )
  if (!(error instanceof HubApiError)) return say(`cannot be fetched: ${message || String(error)}`)
  if (error.statusCode === 404) return say('the hub has no such model or revision. Is the name right?')
  if (error.statusCode === 401 || error.statusCode === 403)
    return say(
      'the hub refuses access. Is the name right? If the model is gated, accept its terms on its page, then set ' +
        'HF_TOKEN (https://huggingface.co/settings/tokens)',
    )
  return say(`the hub answers: ${message}`)
}

function describe({ id, path, revision }: HubModel): string {
  return `${id}${path ? `/${path}` : ''}${revision === 'main' ? '' : `@${revision}`}`
}
