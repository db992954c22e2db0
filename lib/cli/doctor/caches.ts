/** What rlt keeps on disk outside a run folder, and how large it is. */
import { lstat, readdir } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { Installer } from './installer.js'

export interface Cache {
  name: string
  folder: string
  bytes: number
}

export async function readCaches(installer: Installer): Promise<Cache[]> {
  const own = installer.cacheFolder()
  const places = [
    { name: 'rlt (LibTorch, packaged models)', folder: own },
    { name: 'Hugging Face hub (models, data sets)', folder: hubCacheFolder() },
  ]
  return Promise.all(places.map(async place => ({ ...place, bytes: await folderBytes(place.folder) })))
}

/** The hub's own rule, shared with Python's huggingface_hub. */
function hubCacheFolder(env = process.env): string {
  if (env.HF_HUB_CACHE) return env.HF_HUB_CACHE
  const home =
    env.HF_HOME ?? path.join(env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'huggingface')
  return path.join(home, 'hub')
}

/** Bytes on disk under a folder; links are not followed, because the hub's cache links each file to its one blob. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const sizes = await Promise.all(
    entries.map(async entry => {
      const file = path.join(folder, entry.name)
      if (entry.isDirectory()) return folderBytes(file)
      const status = await lstat(file).catch(() => undefined) // A file may vanish while we look.
      return status?.size ?? 0
    }),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
