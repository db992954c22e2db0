/** What is in the caches already. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { getHFHubCachePath, scanCacheDir } from '@huggingface/hub'
import { RepositoryCache } from './hub-cache.js'
import { packagesFolder } from './pypi.js'

export interface CachedModel {
  /** As `resolveModel` takes it. */
  name: string
  /** Commit, for a model of the hub. */
  revision?: string
  path: string
  bytes: number
}

/** Models of the hub that are complete, and packages; sorted by name. */
export async function listCachedModels(
  hubCache: string = getHFHubCachePath(),
  packages: string = packagesFolder(),
): Promise<CachedModel[]> {
  const found = [...(await fromHub(hubCache)), ...(await fromPackages(packages))]
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function fromHub(folder: string): Promise<CachedModel[]> {
  if (!(await stat(folder).catch(() => undefined))) return []
  const { repos } = await scanCacheDir(folder)
  const models: CachedModel[] = []
  for (const { id, revisions } of repos) {
    if (id.type !== 'model') continue
    const cache = new RepositoryCache('model', id.name, folder)
    for (const { commitOid, path, size, refs, files } of revisions) {
      const name = refs.includes('main') ? id.name : `${id.name}@${commitOid}`
      if (await cache.isComplete(commitOid)) models.push({ name, revision: commitOid, path, bytes: size })
      for (const file of files.filter(file => file.path.endsWith('.gguf'))) {
        const [repository, revision] = name.split('@')
        const within = file.path.slice(path.length)
        models.push({
          name: `${repository}${within}${revision ? `@${revision}` : ''}`,
          revision: commitOid,
          path: file.path,
          bytes: file.blob.size,
        })
      }
    }
  }
  return models
}

async function fromPackages(folder: string): Promise<CachedModel[]> {
  const names = await readdir(folder).catch(() => [])
  const models: CachedModel[] = []
  for (const name of names.filter(name => !name.startsWith('.'))) {
    const files = await readdir(join(folder, name), { recursive: true }).catch(() => [])
    const file = files.find(file => file.endsWith('.gguf'))
    if (!file) continue
    const path = join(folder, name, file)
    models.push({ name: `pypi:${name}`, path, bytes: (await stat(path)).size })
  }
  return models
}
