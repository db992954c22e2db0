import { execFile } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { InstallError } from './errors.mjs'

const run = promisify(execFile)

export const minimumCMake = '3.20'

/** The full path of a program on the PATH of `env`, or undefined. A path with a slash is taken as it is. */
export function findTool(name, env = process.env) {
  const candidates = name.includes('/')
    ? [path.resolve(name)]
    : (env.PATH ?? '')
        .split(path.delimiter)
        .filter(Boolean)
        .map(folder => path.join(folder, name))
  return candidates.find(isExecutable)
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The C++ compiler that CMake will take: CXX, else c++, g++ or clang++. */
export function findCompiler(env = process.env) {
  if (env.CXX) {
    // CXX may carry arguments ("ccache g++"); the program is the first word.
    const found = findTool(env.CXX.split(' ')[0], env)
    if (found) return found
    throw new InstallError('NO_COMPILER', `CXX names '${env.CXX}', which is not on the PATH.`, ['unset CXX'])
  }
  for (const name of ['c++', 'g++', 'clang++']) {
    const found = findTool(name, env)
    if (found) return found
  }
  throw new InstallError(
    'NO_COMPILER',
    'No C++ compiler found (looked for c++, g++ and clang++ on the PATH).',
    installHints({ apt: 'g++', dnf: 'gcc-c++', apk: 'g++', pacman: 'gcc', zypper: 'gcc-c++', brew: 'llvm' }),
  )
}

/** CMake's path and version; throws when it is missing or too old. */
export async function findCMake(env = process.env) {
  const remedies = [
    ...installHints({
      apt: 'cmake',
      dnf: 'cmake',
      apk: 'cmake',
      pacman: 'cmake',
      zypper: 'cmake',
      brew: 'cmake',
    }),
    'or, without root: python3 -m pip install --user cmake   (and put ~/.local/bin on the PATH)',
  ]
  const file = findTool('cmake', env)
  if (!file)
    throw new InstallError(
      'NO_CMAKE',
      `CMake ${minimumCMake} or newer is needed and is not on the PATH.`,
      remedies,
    )
  const { stdout } = await run(file, ['--version'], { env })
  const version = /(\d+\.\d+(\.\d+)?)/.exec(stdout)?.[1] ?? '0'
  if (compareVersions(version, minimumCMake) < 0) {
    throw new InstallError(
      'OLD_CMAKE',
      `CMake at ${file} is version ${version}; ${minimumCMake} or newer is needed.`,
      remedies,
    )
  }
  return { file, version }
}

/** make or ninja: CMake writes files for one of them. */
export function findBuildTool(env = process.env) {
  const found = findTool('ninja', env) ?? findTool('make', env)
  if (found) return found
  throw new InstallError(
    'NO_BUILD_TOOL',
    'Neither ninja nor make is on the PATH.',
    installHints({ apt: 'make', dnf: 'make', apk: 'make', pacman: 'make', zypper: 'make', brew: 'ninja' }),
  )
}

/** The Python to ask for torch and pip: PYTHON, else python3 or python; undefined when there is none. */
export function findPython(env = process.env) {
  if (env.PYTHON) {
    const found = findTool(env.PYTHON, env)
    if (found) return found
    throw new InstallError('NO_PYTHON', `PYTHON names '${env.PYTHON}', which is not on the PATH.`, [
      'unset PYTHON',
    ])
  }
  return findTool('python3', env) ?? findTool('python', env)
}

/** A Python that has pip, and pip's version; throws with what to type. */
export async function findPip(env = process.env) {
  const python = findPython(env)
  if (!python) {
    throw new InstallError(
      'NO_PYTHON',
      'Python 3 is needed to fetch LibTorch (it is packaged as a Python wheel), and is not on the PATH.',
      [
        ...installHints({
          apt: 'python3 python3-pip',
          dnf: 'python3 python3-pip',
          apk: 'python3 py3-pip',
          pacman: 'python python-pip',
          zypper: 'python3 python3-pip',
          brew: 'python',
        }),
        'or name a LibTorch that you have: LIBTORCH=/path/to/libtorch npm run build:native',
      ],
    )
  }
  try {
    const { stdout } = await run(python, ['-m', 'pip', '--version'], { env })
    return { python, version: /pip (\d+(\.\d+)*)/.exec(stdout)?.[1] ?? '0' }
  } catch {
    throw new InstallError('NO_PIP', `The Python at ${python} has no pip, which fetches LibTorch.`, [
      ...installHints({
        apt: 'python3-pip',
        dnf: 'python3-pip',
        apk: 'py3-pip',
        pacman: 'python-pip',
        zypper: 'python3-pip',
      }),
      `or: ${python} -m ensurepip --user`,
      'or name a LibTorch that you have: LIBTORCH=/path/to/libtorch npm run build:native',
    ])
  }
}

/** Negative, zero or positive as dotted version a is older than, equal to or newer than b. */
export function compareVersions(a, b) {
  const left = a.split('.').map(Number)
  const right = b.split('.').map(Number)
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

const installCommands = {
  apt: 'sudo apt install',
  dnf: 'sudo dnf install',
  apk: 'sudo apk add',
  pacman: 'sudo pacman -S',
  zypper: 'sudo zypper install',
  brew: 'brew install',
}

/** The install command of this machine's own package manager; when unknown, Debian's as an example. */
export function installHints(packages, manager = packageManager()) {
  const known = packages[manager]
  if (known) return [`${installCommands[manager]} ${known}`]
  return [`${installCommands.apt} ${packages.apt}   (or your system's equivalent)`]
}

function packageManager() {
  if (process.platform === 'darwin') return 'brew'
  let release = ''
  try {
    release = readFileSync('/etc/os-release', 'utf8')
  } catch {
    // Not every Linux has the file; then the general hint is given.
  }
  const ids = (/^ID=.*$/m.exec(release)?.[0] ?? '') + (/^ID_LIKE=.*$/m.exec(release)?.[0] ?? '')
  if (/debian|ubuntu/.test(ids)) return 'apt'
  if (/fedora|rhel|centos/.test(ids)) return 'dnf'
  if (/alpine/.test(ids)) return 'apk'
  if (/arch/.test(ids)) return 'pacman'
  if (/suse/.test(ids)) return 'zypper'
  return 'unknown'
}
