/** Which files of a data set's repository make up a split. */
import type { RowSource } from '../../config/index.js'
import { nearest } from '../../config/suggest.js'
import { DataError } from '../../errors.js'

/** In the order of preference: a repository can hold the same rows in several formats. */
const extensions = ['.parquet', '.jsonl', '.ndjson', '.csv', '.json']

/** Undefined if no file names the split. */
export type SplitFiles = string[] | undefined

/**
 * @param paths of the repository's files
 * @param path of the source in the configuration, for messages
 * @throws {DataError} the split is there in several configurations and none was asked for
 */
export function chooseFiles(
  paths: readonly string[],
  { hub, split, config }: Pick<RowSource, 'hub' | 'split' | 'config'>,
  path: string,
): SplitFiles {
  const naming = new RegExp(`(^|[/._-])${escapePattern(split)}[/._-]`)
  const inFormats = extensions.map(end => paths.filter(file => file.endsWith(end) && naming.test(file)))
  const ofConfig = inFormats
    .map(files => (config === null ? files : files.filter(file => file.split('/').includes(config))))
    .find(files => files.length > 0)
  if (ofConfig === undefined) return undefined

  const byConfig = new Map<string, string[]>()
  for (const file of ofConfig) {
    const name = configurationOf(file, split)
    byConfig.set(name, [...(byConfig.get(name) ?? []), file])
  }
  const only = byConfig.size === 1 ? ofConfig : (byConfig.get('') ?? byConfig.get('default'))
  if (only !== undefined) return only.sort()
  const names = [...byConfig.keys()].sort()
  throw new DataError(
    `${path}: the data set ${hub} has the configurations ${names.join(', ')}; name one: ${path}.config: ${names[0]}`,
  )
}

export function noSuchSplit(source: RowSource, path: string, paths: readonly string[]): DataError {
  const data = paths.filter(file => extensions.some(end => file.endsWith(end)))
  const meant = nearest(source.split, new Set(data.flatMap(file => file.split(/[/.-]/))))
  const where = source.config === null ? '' : ` of the configuration ${source.config}`
  const some = `${data.slice(0, 12).join(', ')}${data.length > 12 ? ', …' : ''}`
  return new DataError(
    `${path}: the data set ${source.hub} has no file of the split ${source.split}${where}; ` +
      `${data.length === 0 ? 'there are no data files' : `there are ${some}`}.` +
      `${meant !== undefined && meant !== source.split ? `\nDid you mean ${path}.split: ${meant}?` : ''}`,
  )
}

/** The folders above a file, without the usual `data` and the split's own. */
function configurationOf(file: string, split: string): string {
  const folders = file.split('/').slice(0, -1)
  return folders.filter(folder => folder !== 'data' && folder !== split).join('/')
}

const escapePattern = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
