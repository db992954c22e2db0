/** The install step's own modules: plain JavaScript outside the compiled tree, because it runs before tsc exists. */
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../packageRoot.js'

export interface LibTorch {
  /** The folder with include/ and lib/. */
  folder: string
  version: string
  origin: 'LIBTORCH' | 'python' | 'cache'
  cuda: boolean
}

export interface Wheel {
  name: string
  version: string
  file: string
  sha256: string
}

/** What the installation throws: what is missing, and what to type. */
export interface InstallError extends Error {
  code: string
  remedies: string[]
  describe(): string
}

type Environment = Record<string, string | undefined>

export interface Installer {
  addonFile: string
  versions: {
    libtorch: {
      version: string
      supported: { minimum: string; maximum: string }
      cudaArchitectures: string[]
    }
  }
  cacheFolder(env?: Environment): string
  freeBytes(folder: string): Promise<number>
  requireDiskSpace(folder: string, needed: number, what: string, free?: number): Promise<void>
  findTool(name: string, env?: Environment): string | undefined
  findCompiler(env?: Environment): string
  findCMake(env?: Environment): Promise<{ file: string; version: string }>
  findBuildTool(env?: Environment): string
  findPip(env?: Environment): Promise<{ python: string; version: string }>
  compareVersions(a: string, b: string): number
  installHints(packages: Record<string, string>, manager?: string): string[]
  findLibTorch(options?: {
    env?: Environment
    cuda?: boolean
  }): Promise<{ found: LibTorch | undefined; notes: string[] }>
  pinnedFolder(options?: { env?: Environment; cuda?: boolean }): string
  pinnedWheels(groups: string[], key?: string): Wheel[] | undefined
  isSupported(version: string): boolean
  fetchLibTorch(options?: {
    env?: Environment
    cuda?: boolean
    wheels?: Wheel[]
    log?: (line: string) => void
  }): Promise<string>
  checkHash(file: string, wheel: Pick<Wheel, 'file' | 'sha256'>): Promise<void>
  wantsCuda(env?: Environment, driverLoaded?: boolean): 'ON' | 'OFF'
  buildJobs(machine?: { cores?: number; memory?: number }): number
  checkAddonLoads(env?: Environment): Promise<void>
}

const modules = ['build', 'cache', 'cuda', 'libtorch', 'tools', 'versions', 'wheels']

/** All of the installation's functions in one object. */
export async function loadInstaller(): Promise<Installer> {
  const folder = path.join(packageRoot(), 'scripts', 'install')
  const loaded = await Promise.all(
    modules.map(name => import(pathToFileURL(path.join(folder, `${name}.mjs`)).href)),
  )
  return Object.assign({}, ...loaded) as Installer
}
