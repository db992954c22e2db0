/** `pipeline.json` in the pipeline's folder: which stages were begun and completed, of what content, and what they cost. */
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TokensWorked } from '../../engine/index.js'
import { RunError, writeFileAtomic } from '../../runs/index.js'
import type { KnownFile } from './fingerprints.js'
import type { StageContent } from './identity.js'

/** Of the whole process while the stage ran: what else it did at the same time is counted with it. */
export interface StageCost {
  seconds: number
  tokens: TokensWorked
  /** The most memory that the process held while the stage ran; on other systems than Linux, that it held so far. */
  peakMemoryBytes: number
}

export interface StageRecord {
  state: 'started' | 'complete'
  identity: string
  content: StageContent
  /** Of all processes that worked on it; what a killed one did after its last save is not known. */
  cost: StageCost
  /** Hashes of the outputs by name, of a stage that is complete. */
  outputs: Record<string, string>
}

export interface PipelineRecord {
  version: 1
  stages: Record<string, StageRecord>
  files: Record<string, KnownFile>
}

export async function readRecord(folder: string): Promise<PipelineRecord> {
  const file = fileOf(folder)
  const text = await readFile(file, 'utf8').catch(error => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return { version: 1, stages: {}, files: {} }
  const record = parse(text)
  if (record?.version !== 1)
    throw new RunError(
      `${file} is not a record of this version of rlt. Remove it to run all stages anew (what is in the folders of ` +
        'stages is set aside, not removed), or name another folder.',
    )
  return record
}

export async function writeRecord(folder: string, record: PipelineRecord): Promise<void> {
  await writeFileAtomic(fileOf(folder), `${JSON.stringify(record, null, 2)}\n`)
}

/** What a stage left earlier makes room; it is kept until the next time. */
export async function setAside(stageFolder: string): Promise<void> {
  const previous = `${stageFolder}.previous`
  // An empty folder, left by a process that was killed just then, must not push out what is kept.
  const left = await readdir(stageFolder).catch(() => [])
  if (left.length > 0) {
    await rm(previous, { recursive: true, force: true })
    await rename(stageFolder, previous)
  }
  await mkdir(stageFolder, { recursive: true })
}

const fileOf = (folder: string) => join(folder, 'pipeline.json')

function parse(text: string): PipelineRecord | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
