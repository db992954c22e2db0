/** Models of the hub: what is missing of a repository is fetched into the shared cache. */
import { join } from 'node:path'
import { HubApiError, type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub'
import { AbortedError, ModelError } from '../errors.js'
import { RepositoryCache } from './hub-cache.js'
import { hubConnection, isNetworkFailure, isOffline } from './hub-connection.js'
import { downloadBlob, hashOf } from './hub-file.js'
import { readShardIndex, shardIndexName } from './shard-index.js'
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
  const connection = await hubConnection(options)
  const { sha: commit } = await modelInfo({ ...connection, name: id, revision, additionalFields: ['sha'] })
  const repo = { type: 'model', name: id } as const
  const entries: ListFileEntry[] = []
  for await (const entry of listFiles({ ...connection, repo, revision: commit, recursive: true }))
    if (entry.type === 'file') entries.push(entry)
  const files: RepositoryFiles = {
    model: { id, path, revision },
    folder: cache.snapshot(commit),
    entries,
    async fetch(entry) {
      if (await cache.has(commit, entry.path)) return
      const hash = hashOf(entry)
      await downloadBlob(entry, cache.blob(hash), { ...connection, repo, revision: commit }, options)
      await cache.link(commit, entry.path, hash)
    },
  }
  if (path) await fetchOne(files, path)
  else await fetchFolder(files)
  // Last, so that the name never stands for an incomplete snapshot.
  await cache.rememberCommit(revision, commit)
  return filesOf(files.folder, commit, path)
}

/** A commit of a repository: what it has, and a way to have a file of it in the cache. */
interface RepositoryFiles {
  model: HubModel
  /** The snapshot in the cache. */
  folder: string
  entries: ListFileEntry[]
  fetch(entry: ListFileEntry): Promise<void>
}

/** All of a model folder but weights; not other frameworks' files, images or training states. */
const sidecars = [
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$/,
  /^(merges\.txt|tokenizer\.model|chat_template\.jinja|additional_chat_templates\/[\w.-]+\.jinja)$/,
]

async function fetchFolder(files: RepositoryFiles): Promise<void> {
  const { entries, fetch, folder, model } = files
  const has = (name: string) => entries.some(({ path }) => path === name)
  if (!has('model.safetensors') && !has(shardIndexName)) throw noSafetensors(files)
  for (const entry of entries) if (sidecars.some(pattern => pattern.test(entry.path))) await fetch(entry)
  if (has('model.safetensors')) return fetchOne(files, 'model.safetensors')
  await fetchOne(files, shardIndexName)
  const index = await readShardIndex(folder)
  if (!index) throw new ModelError(`${describe(model)}: ${shardIndexName} vanished from ${folder}`)
  for (const shard of new Set(index.values())) await fetchOne(files, shard)
}

async function fetchOne({ model, entries, fetch }: RepositoryFiles, name: string): Promise<void> {
  const entry = entries.find(({ path }) => path === name)
  if (entry) return fetch(entry)
  const names = entries.map(({ path }) => path).join(', ')
  throw new ModelError(`${describe(model)}: there is no ${name} in the repository; it has ${names}`)
}

function noSafetensors({ model, entries }: RepositoryFiles): ModelError {
  const names = entries.map(({ path }) => path)
  const ggufs = names.filter(name => name.endsWith('.gguf'))
  if (ggufs.length > 0)
    return new ModelError(
      `${describe(model)} holds GGUF files: name one, e.g. ${model.id}/${ggufs[0]} (of ${ggufs.join(', ')})`,
    )
  return new ModelError(
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
