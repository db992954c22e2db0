/** Machines made for a test: folders shaped like LibTorch, and a PATH that holds only what the test puts there. */
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { ExecutionContext } from 'ava'
import { findOnPath } from './find-on-path.js'

/** A new folder that is removed when the test ends. */
export async function makeFolder(t: ExecutionContext): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(os.tmpdir(), 'rlt-install-')))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, text)
  }
}

/** The files by which the installation recognises LibTorch; the libraries are empty, for nothing is linked here. */
export async function makeLibTorch(folder: string, version: string): Promise<string> {
  const [major, minor, patch] = version.split('.')
  const extension = process.platform === 'darwin' ? 'dylib' : 'so'
  const defines = { MAJOR: major, MINOR: minor, PATCH: patch }
  await writeFiles(folder, {
    'include/ATen/ATen.h': '',
    'include/torch/headeronly/version.h': Object.entries(defines)
      .map(([name, value]) => `#define TORCH_VERSION_${name} ${value}\n`)
      .join(''),
    [`lib/libtorch_cpu.${extension}`]: '',
    [`lib/libc10.${extension}`]: '',
  })
  return folder
}

/** An executable shell script. */
export async function makeProgram(folder: string, name: string, script: string): Promise<void> {
  await writeFiles(folder, { [name]: `#!/bin/sh\n${script}\n` })
  await chmod(path.join(folder, name), 0o755)
}

/** Links real programs of this machine into a folder, which then serves as a whole PATH. */
export async function linkPrograms(folder: string, ...names: string[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const name of names) await symlink(findOnPath(name), path.join(folder, name))
}

/** This machine's Python without its installed packages: no torch and no pip, unless PYTHONPATH brings them. */
export async function makeBarePython(folder: string): Promise<void> {
  await makeProgram(folder, 'python3', `exec '${pythonExecutable()}' -S "$@"`)
}

export function pythonExecutable(): string {
  return execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim()
}
