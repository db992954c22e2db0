/**
 * Where configuration values come from: a preset, over it a file, over that each `--set`.
 * A layer keeps its YAML syntax tree, so that a complaint about a value can point at where it was written.
 */
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { Path, Position, Problem } from './problem.js'

export interface Layer {
  /** As messages name it: a file's path, or `--set path=value`. */
  source: string
  kind: 'file' | 'set'
  value: unknown
  /** Position of the value (or of the key) at a path, or undefined if this layer does not hold it. */
  locate(path: Path, atKey?: boolean): Position | undefined
}

/** Reads a YAML text. Syntax errors are returned as problems with their positions; the value is then undefined. */
export function readLayer(source: string, text: string): { layer: Layer; problems: [Problem, Position][] } {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, merge: true })
  const lines = text.split(/\r?\n/)
  const at = (start: number, end = start): Position => {
    const { line, col } = lineCounter.linePos(start)
    return { source, line, column: col, text: lines[line - 1], length: end - start }
  }
  const problems = document.errors.map((error): [Problem, Position] => [
    { path: [], message: `this is not valid YAML: ${error.message}` },
    at(Math.min(error.pos[0], text.length), error.pos[1]),
  ])
  const layer: Layer = {
    source,
    kind: 'file',
    value: problems.length === 0 ? document.toJS() : undefined,
    locate(path, atKey) {
      const node = findNode(document, path, atKey)
      if (path.length === 0) return { source }
      if (!node?.range) return undefined
      return at(node.range[0], node.range[1])
    },
  }
  return { layer, problems }
}

function findNode(document: Document, path: Path, atKey = false): Node | undefined {
  const follow = (node: unknown) => (isAlias(node) ? node.resolve(document) : node) as Node | undefined
  let node = follow(document.contents)
  for (const [depth, part] of path.entries()) {
    if (isSeq(node)) {
      node = follow(node.items[Number(part)])
    } else if (isMap(node)) {
      const pair = node.items.find(item => isScalar(item.key) && String(item.key.value) === String(part))
      if (!pair) return undefined
      const last = depth === path.length - 1
      // The value of `key:` with nothing after it has no extent of its own.
      node = atKey && last ? (pair.key as Node) : (follow(pair.value) ?? (pair.key as Node))
    } else {
      return undefined
    }
  }
  return node ?? undefined
}

/**
 * Lays `upper` over `lower`: mappings are merged, anything else replaces what is beneath.
 * A data source is replaced whole when the upper one says which data it is, because the columns and the row limits
 * of one data set do not apply to another.
 */
export function overlay(lower: unknown, upper: unknown, path: Path = []): unknown {
  if (!isMapping(lower) || !isMapping(upper)) return upper
  if (isSource(path) && dataNamed(upper)) return upper
  const merged: Record<string, unknown> = { ...lower }
  for (const [key, value] of Object.entries(upper))
    merged[key] = key in lower ? overlay(lower[key], value, [...path, key]) : value
  return merged
}

const alternatives = ['rows', 'path', 'hub']
const isSource = (path: Path) =>
  path[0] === 'data' &&
  (path.length === 1 || (path.length === 2 && ['train', 'heldOut'].includes(String(path[1]))))
const dataNamed = (value: Record<string, unknown>) => alternatives.some(key => key in value)

/** A `--set path.to=value`: the value is YAML, list entries are named by their index from 0. */
export function readSet(argument: string): { layer: Layer; path: Path; problems: [Problem, Position][] } {
  const source = `--set ${argument}`
  const equals = argument.indexOf('=')
  const path = argument
    .slice(0, Math.max(0, equals))
    .trim()
    .replaceAll(/\[(\d+)\]/g, '.$1')
    .split('.')
    .map(part => (/^\d+$/.test(part) ? Number(part) : part))
  const { layer, problems } = readLayer(source, argument.slice(equals + 1))
  const bare = problems.map(([problem]): [Problem, Position] => [{ ...problem, path }, { source }])
  if (equals < 1 || path.includes(''))
    bare.push([
      { path: [], message: 'expected path.to.option=value, for example sampling.temperature=1' },
      { source },
    ])
  return {
    path,
    problems: bare,
    layer: {
      source,
      kind: 'set',
      value: layer.value,
      locate: wanted => (startsWith(wanted, path) || startsWith(path, wanted) ? { source } : undefined),
    },
  }
}

const startsWith = (path: Path, start: Path) => start.every((part, i) => String(path[i]) === String(part))

/** A copy of `root` with `value` at `path`; a problem instead if there is no such place. */
export function setAt(root: unknown, path: Path, value: unknown): { value: unknown } | { problem: Problem } {
  const copy = structuredClone(root)
  const holder = { root: copy } as Record<string | number, unknown>
  let parent: Record<string | number, unknown> = holder
  let key: string | number = 'root'
  for (const [depth, part] of path.entries()) {
    let next = parent[key]
    if (next === null || typeof next !== 'object') next = parent[key] = typeof part === 'number' ? [] : {}
    if (Array.isArray(next) && !(typeof part === 'number' && part <= next.length)) {
      const message = `${JSON.stringify(part)} is not an index of this list; expected 0 to ${next.length}`
      return { problem: { path: path.slice(0, depth), message } }
    }
    parent = next as Record<string | number, unknown>
    key = part
  }
  parent[key] = value
  if (isSource(path.slice(0, -1)) && alternatives.includes(String(key)))
    for (const other of alternatives) if (other !== key) delete parent[other]
  return { value: holder.root }
}

/**
 * Makes the paths of local files absolute. They are relative to `folder`: that of the file that states them, so that
 * a configuration means the same whatever folder it is used from.
 * A model or a module is a path when it begins with a dot; otherwise it is a name to be resolved elsewhere.
 */
export function absolutePaths(value: unknown, folder: string): unknown {
  if (!isMapping(value)) return value
  const copy = structuredClone(value)
  const absolute = (holder: unknown, key: string, onlyDotted: boolean) => {
    if (!isMapping(holder)) return
    const path = holder[key]
    if (typeof path !== 'string' || path === '') return
    if (path.startsWith('~/')) holder[key] = resolve(homedir(), path.slice(2))
    else if (!onlyDotted || path.startsWith('./') || path.startsWith('../'))
      holder[key] = resolve(folder, path)
  }
  const list = (entries: unknown) => (Array.isArray(entries) ? entries : [])
  for (const key of ['model', 'weights']) absolute(copy.teacher, key, true)
  absolute(copy.student, 'model', true)
  for (const model of [...list(copy.students), ...list(copy.models)]) absolute(model, 'model', true)
  for (const task of list(copy.tasks)) absolute(task, 'path', false)
  absolute(copy.data, 'path', false)
  if (isMapping(copy.data))
    for (const source of [copy.data.train, copy.data.heldOut]) absolute(source, 'path', false)
  if (isMapping(copy.reward)) for (const term of list(copy.reward.terms)) absolute(term, 'module', true)
  return copy
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
