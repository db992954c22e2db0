/**
 * Checkpoints of a run: `checkpoints/step-N/`, a complete Hugging Face model folder with the state of the training
 * in its `training/` subfolder.
 *
 * A checkpoint is written under a hidden name, flushed and renamed, so that a folder named step-N is complete; its
 * manifest has the SHA-256 of every file, so that damage done later is noticed before anything is resumed from it.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { flushFolder } from '../files.js'
import { RunError } from './errors.js'
import { flushTree, writeFileAtomic } from './files.js'

export type CheckpointState = Record<string, unknown>

export interface Checkpoint {
  step: number
  /** A model folder that transformers can load as it is. */
  folder: string
  /** What the writer returned. */
  state: CheckpointState
}

export interface FoundCheckpoint extends Checkpoint {
  /** Newer checkpoints that could not be used, newest first. */
  passedOver: { folder: string; reason: string }[]
}

interface Manifest {
  version: 1
  /** Path relative to the checkpoint, with forward slashes, to size in bytes and checksum. */
  files: Record<string, { bytes: number; sha256: string }>
}

const manifestPath = join('training', 'manifest.json')
const statePath = join('training', 'state.json')

/**
 * @param write fills the folder (its `training/` exists already) and returns the state to be kept beside the weights
 * @param keep how many checkpoints stay: older ones are removed once this one is safe
 * @param best step of one that stays in any case
 */
export async function saveCheckpoint(
  checkpoints: string,
  step: number,
  write: (folder: string) => Promise<CheckpointState>,
  { keep, best }: { keep: number; best?: number | undefined },
): Promise<string> {
  const target = join(checkpoints, `step-${step}`)
  const partial = join(checkpoints, `.step-${step}.partial`)
  await rm(partial, { recursive: true, force: true })
  await mkdir(join(partial, 'training'), { recursive: true })
  try {
    const state = await write(partial)
    await writeFileAtomic(join(partial, statePath), `${JSON.stringify(state, null, 2)}\n`)
    const manifest: Manifest = { version: 1, files: await checksums(partial) }
    await writeFileAtomic(join(partial, manifestPath), `${JSON.stringify(manifest, null, 2)}\n`)
    await flushTree(partial)
    // A folder cannot be renamed over another: an earlier checkpoint of this step steps aside, and comes back in
    // `recoverCheckpoints` should the process end between the two renames.
    await rename(target, setAside(checkpoints, step)).catch(ignoreMissing)
    await rename(partial, target)
    await flushFolder(checkpoints)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
  await rm(setAside(checkpoints, step), { recursive: true, force: true })
  const older = (await listSteps(checkpoints)).filter(other => other <= step)
  for (const old of older.slice(0, -keep)) if (old !== best) await removeCheckpoint(checkpoints, old)
  return target
}

/** The newest checkpoint whose files are all there and unchanged; undefined if there is none at all. */
export async function latestCheckpoint(checkpoints: string): Promise<FoundCheckpoint | undefined> {
  const steps = await listSteps(checkpoints)
  const passedOver: FoundCheckpoint['passedOver'] = []
  for (const step of steps.reverse()) {
    const folder = join(checkpoints, `step-${step}`)
    const reason = await findDamage(folder)
    if (reason === undefined) {
      const state = JSON.parse(await readFile(join(folder, statePath), 'utf8')) as CheckpointState
      return { step, folder, state, passedOver }
    }
    passedOver.push({ folder, reason })
  }
  if (passedOver.length > 0) {
    const list = passedOver.map(({ folder, reason }) => `  ${folder}: ${reason}`).join('\n')
    throw new RunError(`Every checkpoint of this run is damaged, so it cannot be resumed:\n${list}`)
  }
  return undefined
}

/** Tidies up after a process that was killed while it saved or removed a checkpoint. */
export async function recoverCheckpoints(checkpoints: string): Promise<void> {
  for (const name of await readdir(checkpoints)) {
    const step = /^\.step-(\d+)\.aside$/.exec(name)?.[1]
    if (step !== undefined) {
      const target = join(checkpoints, `step-${step}`)
      const replaced = await stat(target).then(
        () => true,
        () => false,
      )
      if (!replaced) await rename(join(checkpoints, name), target)
    }
    if (name.startsWith('.step-')) await rm(join(checkpoints, name), { recursive: true, force: true })
  }
}

/**
 * Puts checkpoints after `step` out of the way: the run goes on from `step` and will write its own.
 * They are damaged (else the run would go on from them), and kept under another name for whoever wants to know why.
 */
export async function setLaterAside(checkpoints: string, step: number): Promise<void> {
  for (const later of await listSteps(checkpoints)) {
    if (later <= step) continue
    const aside = join(checkpoints, `damaged-step-${later}`)
    await rm(aside, { recursive: true, force: true })
    await rename(join(checkpoints, `step-${later}`), aside)
  }
}

/** Why a checkpoint cannot be used, or undefined if it is whole. */
export async function findDamage(folder: string): Promise<string | undefined> {
  let manifest: Manifest
  try {
    manifest = JSON.parse(await readFile(join(folder, manifestPath), 'utf8'))
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return `${manifestPath} ${missing ? 'is missing' : 'is not readable'}`
  }
  if (manifest.version !== 1)
    return `${manifestPath} is of version ${manifest.version}; this program reads version 1`
  for (const [name, { bytes, sha256 }] of Object.entries(manifest.files)) {
    const file = join(folder, ...name.split('/'))
    const size = await stat(file).then(
      found => found.size,
      () => undefined,
    )
    if (size === undefined) return `${name} is missing`
    if (size !== bytes) return `${name} has ${size} bytes, not ${bytes}`
    if ((await checksum(file)) !== sha256) return `${name} has changed: its SHA-256 is not the manifest's`
  }
  return undefined
}

const setAside = (checkpoints: string, step: number) => join(checkpoints, `.step-${step}.aside`)

/** Ascending. */
async function listSteps(checkpoints: string): Promise<number[]> {
  const names = await readdir(checkpoints)
  const steps = names.map(name => /^step-(\d+)$/.exec(name)?.[1]).filter(step => step !== undefined)
  return steps.map(Number).sort((a, b) => a - b)
}

async function removeCheckpoint(checkpoints: string, step: number): Promise<void> {
  // Renamed first: a folder half removed must not pass for a checkpoint.
  const doomed = join(checkpoints, `.step-${step}.removed`)
  await rename(join(checkpoints, `step-${step}`), doomed)
  await rm(doomed, { recursive: true, force: true })
}

async function checksums(folder: string): Promise<Manifest['files']> {
  const files: Manifest['files'] = {}
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  for (const path of paths.sort())
    files[relative(folder, path).split(sep).join('/')] = {
      bytes: (await stat(path)).size,
      sha256: await checksum(path),
    }
  return files
}

async function checksum(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash)
  return hash.digest('hex')
}

function ignoreMissing(error: NodeJS.ErrnoException) {
  if (error.code !== 'ENOENT') throw error
}
