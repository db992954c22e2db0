/** What the installation found and built: LibTorch, the addon, the tools that build it. */
import { execFile } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { packageRoot } from '../../packageRoot.js'
import type { InstallError, Installer, LibTorch } from './installer.js'

const run = promisify(execFile)

export interface Addon {
  file: string
  built: boolean
  loads: boolean
  /** The LibTorch folder that it was built against. */
  builtWith?: string
  /** Sources were changed after it was built. */
  outOfDate: boolean
}

export interface Tools {
  compiler?: string
  cmake?: { file: string; version: string }
  buildTool?: string
  python?: { file: string; version: string; pipVersion?: string }
}

/** A finding that stands between the user and a run ('error') or that they should know ('warning'). */
export interface Problem {
  severity: 'error' | 'warning'
  what: string
  fix: string[]
}

export async function readLibTorch(installer: Installer, problems: Problem[]): Promise<LibTorch | undefined> {
  try {
    const { found, notes } = await installer.findLibTorch()
    for (const note of notes) problems.push({ severity: 'warning', what: note, fix: [] })
    return found
  } catch (error) {
    problems.push(asProblem(error, 'error'))
    return undefined
  }
}

export async function readAddon(installer: Installer, problems: Problem[]): Promise<Addon> {
  const file = installer.addonFile
  const built = await modifiedTime(file)
  if (built === undefined) {
    problems.push({
      severity: 'error',
      what: 'The native addon is not built.',
      fix: ['npm run build:native'],
    })
    return { file, built: false, loads: false, outOfDate: false }
  }
  const addon: Addon = { file, built: true, loads: true, outOfDate: (await newestSource()) > built }
  const builtWith = await readBuildRecord()
  if (builtWith) addon.builtWith = builtWith
  try {
    // In a process of its own: a library that crashes while it loads must not take the report with it.
    await installer.checkAddonLoads()
  } catch (error) {
    addon.loads = false
    problems.push(asProblem(error, 'error'))
  }
  if (addon.outOfDate) {
    const what = 'The addon is older than its C++ sources.'
    problems.push({ severity: 'warning', what, fix: ['npm run build:native'] })
  }
  return addon
}

/** Missing tools matter only where the addon still has to be built. */
export async function readTools(installer: Installer, problems: Problem[], needed: boolean): Promise<Tools> {
  const severity = needed ? 'error' : 'warning'
  const attempt = async <T>(look: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await look()
    } catch (error) {
      problems.push(asProblem(error, severity))
      return undefined
    }
  }
  const compiler = await attempt(() => installer.findCompiler())
  const cmake = await attempt(() => installer.findCMake())
  const buildTool = await attempt(() => installer.findBuildTool())
  const pip = await attempt(() => installer.findPip())
  const python = pip && {
    file: pip.python,
    version: await pythonVersion(pip.python),
    pipVersion: pip.version,
  }
  return {
    ...(compiler && { compiler }),
    ...(cmake && { cmake }),
    ...(buildTool && { buildTool }),
    ...(python && { python }),
  }
}

async function pythonVersion(python: string): Promise<string> {
  const { stdout } = await run(python, ['--version'])
  return stdout.replace('Python', '').trim()
}

async function readBuildRecord(): Promise<string | undefined> {
  const file = path.join(packageRoot(), 'build/cmake/rlt-configuration.json')
  try {
    return JSON.parse(await readFile(file, 'utf8')).RLT_LIBTORCH
  } catch {
    return undefined // A shipped addon has no build folder beside it.
  }
}

/** The latest modification of a C++ or CUDA source, in milliseconds; 0 where no sources are shipped. */
async function newestSource(): Promise<number> {
  const files = await Promise.all(
    ['native', 'bindings'].map(async folder => {
      const root = path.join(packageRoot(), folder)
      const names = await readdir(root, { recursive: true }).catch(() => [])
      return names.filter(name => /\.(cpp|cu|h)$/.test(name)).map(name => path.join(root, name))
    }),
  )
  const times = await Promise.all(files.flat().map(modifiedTime))
  return Math.max(0, ...times.map(time => time ?? 0))
}

async function modifiedTime(file: string): Promise<number | undefined> {
  const status = await stat(file).catch(() => undefined)
  return status?.mtimeMs
}

function asProblem(error: unknown, severity: Problem['severity']): Problem {
  const { message, remedies } = error as InstallError
  if (!remedies) throw error
  return { severity, what: message, fix: remedies }
}
