/** What a run leaves to those who come after it: `model/`, the model of one of its checkpoints. */
import { constants } from 'node:fs'
import { cp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { flushFolder } from '../../files.js'
import { flushTree } from '../../runs/index.js'

/**
 * Copies the model of a checkpoint, without the state of the training, to RUN/model. It is there whole or not at all;
 * where a filesystem can share blocks, it takes no space.
 */
export async function writeModelFolder(run: string, step: number): Promise<void> {
  const checkpoint = join(run, 'checkpoints', `step-${step}`)
  const partial = join(run, '.model.partial')
  const target = join(run, 'model')
  await rm(partial, { recursive: true, force: true })
  await cp(checkpoint, partial, {
    recursive: true,
    mode: constants.COPYFILE_FICLONE,
    filter: source => !(basename(source) === 'training' && dirname(source) === checkpoint),
  })
  await flushTree(partial)
  await rm(target, { recursive: true, force: true })
  await rename(partial, target)
  await flushFolder(run)
}
