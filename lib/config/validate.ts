/** From a plain value to a configuration, or to every problem that it has. */
import { z } from 'zod'
import type { ConfigKind } from './kinds/kind.js'
import { isMapping } from './layers.js'
import { formatPath, formatValue, type Path, type Problem } from './problem.js'
import { nearest } from './suggest.js'

type Issue = z.core.$ZodIssue
type JsonSchema = z.core.JSONSchema.BaseSchema

/** Any configuration, where it does not matter which. */
type AnyKind = Pick<ConfigKind<unknown>, 'name' | 'schema'>

export function validate<T>(kind: ConfigKind<T>, value: unknown): { config: T } | { problems: Problem[] } {
  const result = kind.schema.safeParse(value)
  if (result.success) {
    const problems = kind.checkCombinations(result.data)
    return problems.length === 0 ? { config: result.data } : { problems }
  }
  const problems = result.error.issues.flatMap(issue => describeIssue(kind, issue, value))
  return { problems: [...problems, ...combinationsOfTheRest(kind, value, problems)] }
}

/**
 * Impossible combinations in a configuration that has other faults too, so that all are reported at once:
 * what is at fault is replaced by its default (a placeholder where it has none), and what is said about it is dropped.
 */
function combinationsOfTheRest<T>(kind: ConfigKind<T>, value: unknown, problems: Problem[]): Problem[] {
  const repaired: unknown = isMapping(value) ? structuredClone(value) : {}
  for (const { path } of problems) remove(repaired, path)
  const result = kind.schema.safeParse(fill(repaired, kind.placeholders))
  if (!result.success) return []
  const touches = (a: Path, b: Path) => a.every((part, i) => i >= b.length || part === b[i])
  return kind
    .checkCombinations(result.data)
    .filter(found => !problems.some(problem => touches(problem.path, found.path)))
}

function remove(value: unknown, path: Path) {
  const parent = valueAt(value, path.slice(0, -1))
  const key = path.at(-1)
  if (isMapping(parent)) delete parent[String(key)]
  // An entry of a list cannot be taken out without renumbering the others: the whole list goes.
  else if (Array.isArray(parent)) remove(value, path.slice(0, -1))
}

function fill(value: unknown, missing: unknown): unknown {
  if (value === undefined) return missing
  if (!isMapping(value) || !isMapping(missing)) return value
  const filled: Record<string, unknown> = { ...value }
  for (const [key, part] of Object.entries(missing)) filled[key] = fill(filled[key], part)
  return filled
}

function describeIssue(kind: AnyKind, issue: Issue, root: unknown): Problem[] {
  const path = issue.path as Path
  if (issue.code === 'unrecognized_keys') return issue.keys.map(key => unknownKey(kind, [...path, key]))
  const value = valueAt(root, path)
  const schema = schemaAt(kind, path)
  const expected = schema ? describeSchema(schema) : issue.message
  if (value === undefined) return [{ path, message: `missing; expected ${expected}` }]
  const guess = typeof value === 'string' && schema ? nearest(value, wordsOf(schema)) : undefined
  const hint = guess === undefined ? '' : `; did you mean ${guess}?`
  return [{ path, message: `expected ${expected}, got ${formatValue(value)}${hint}` }]
}

function unknownKey(kind: AnyKind, path: Path): Problem {
  const key = String(path.at(-1))
  const parent = path.slice(0, -1)
  const siblings = Object.keys(schemaAt(kind, parent)?.properties ?? {})
  const sibling = nearest(key, siblings)
  const elsewhere =
    sibling === undefined ? allOptions(schemaRoot(kind)).filter(option => option.at(-1) === key) : []
  const hint =
    sibling !== undefined
      ? `did you mean ${sibling}?`
      : elsewhere.length > 0
        ? `did you mean ${elsewhere.map(formatPath).join(' or ')}?`
        : `expected one of ${siblings.join(', ')}`
  return { path, atKey: true, message: `there is no such option; ${hint}` }
}

export function valueAt(value: unknown, path: Path): unknown {
  let found = value
  for (const part of path) {
    if (found === null || typeof found !== 'object') return undefined
    found = (found as Record<string | number, unknown>)[part]
  }
  return found
}

/** The schema as JSON Schema, which can be walked and read; made when first needed, for a complaint or for help. */
const jsonSchemas = new Map<string, JsonSchema>()
function schemaRoot({ name, schema }: AnyKind): JsonSchema {
  const known = jsonSchemas.get(name)
  if (known) return known
  const made = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any', reused: 'inline' })
  jsonSchemas.set(name, made)
  return made
}

function schemaAt(kind: AnyKind, path: Path): JsonSchema | undefined {
  let schema: JsonSchema | undefined = schemaRoot(kind)
  for (const part of path) {
    const options: JsonSchema[] = schema.anyOf ? (schema.anyOf as JsonSchema[]) : [schema]
    const step = (option: JsonSchema) =>
      typeof part === 'number'
        ? ((option.prefixItems?.[part] ?? option.items) as JsonSchema | undefined)
        : ((option.properties?.[part] ??
            // A mapping whose keys are the user's own.
            (isMapping(option.additionalProperties) ? option.additionalProperties : undefined)) as
            | JsonSchema
            | undefined)
    schema = options.map(step).find(found => found !== undefined)
    if (!schema) return undefined
  }
  return schema
}

function wordsOf(schema: JsonSchema): string[] {
  const options: JsonSchema[] = schema.anyOf ? (schema.anyOf as JsonSchema[]) : [schema]
  return options
    .flatMap(option => option.enum ?? (option.const === undefined ? [] : [option.const]))
    .map(String)
}

/** "a whole number of at least 1", "one of auto, cpu, cuda", … */
function describeSchema(schema: JsonSchema): string {
  if (schema.examples) {
    const { examples, ...rest } = schema
    return `${describeSchema(rest as JsonSchema)}, such as ${(examples as unknown[]).join(', ')}`
  }
  if (schema.anyOf) return (schema.anyOf as JsonSchema[]).map(describeSchema).join(' or ')
  if (schema.enum)
    return schema.enum.length === 1 ? String(schema.enum[0]) : `one of ${schema.enum.join(', ')}`
  if (schema.const !== undefined) return String(schema.const)
  switch (schema.type) {
    case 'integer':
    case 'number':
      return `a ${schema.type === 'integer' ? 'whole number' : 'number'}${describeRange(schema)}`
    case 'boolean':
      return 'true or false'
    case 'null':
      return 'null'
    case 'string':
      return schema.minLength ? 'a text that is not empty' : 'a text'
    case 'array': {
      if (schema.prefixItems)
        return `a list of ${schema.prefixItems.length} (${describeSchema(schema.prefixItems[0] as JsonSchema)})`
      const entries = schema.minItems ? `a list of at least ${schema.minItems}` : 'a list'
      return schema.items ? `${entries}, each ${describeSchema(schema.items as JsonSchema)}` : entries
    }
    case 'object': {
      const keys = Object.keys(schema.properties ?? {})
      return keys.length > 0 ? `a mapping of ${keys.join(', ')}` : 'a mapping'
    }
    default:
      return 'another value'
  }
}

function describeRange(schema: JsonSchema): string {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = schema
  const low =
    exclusiveMinimum !== undefined
      ? `above ${exclusiveMinimum}`
      : isBound(minimum)
        ? `at least ${minimum}`
        : ''
  const high =
    exclusiveMaximum !== undefined
      ? `below ${exclusiveMaximum}`
      : isBound(maximum)
        ? `at most ${maximum}`
        : ''
  const range = [low, high].filter(Boolean).join(' and ')
  return range && ` (${range})`
}

/** The bounds of exact integers in a double are how JSON Schema says "any whole number". */
const isBound = (bound: number | undefined) =>
  bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER

export interface OptionDescription {
  /** students[].model */
  path: string
  expected: string
  description: string
  default: unknown
}

/** Every option with what it takes and what it is for, in the schema's order. */
export function describeOptions(kind: AnyKind): OptionDescription[] {
  return allOptions(schemaRoot(kind)).map(path => {
    const schema = schemaAt(kind, path)!
    return {
      path: formatPath(path).replaceAll('[0]', '[]'),
      expected: describeSchema(schema),
      description: schema.description ?? '',
      default: schema.default,
    }
  })
}

function allOptions(schema: JsonSchema, path: Path = []): Path[] {
  const options: JsonSchema[] = schema.anyOf ? (schema.anyOf as JsonSchema[]) : [schema]
  const found = options.flatMap(option => [
    ...Object.entries(option.properties ?? {}).flatMap(([key, part]) =>
      allOptions(part as JsonSchema, [...path, key]),
    ),
    ...((option.items as JsonSchema | undefined)?.properties
      ? allOptions(option.items as JsonSchema, [...path, 0])
      : []),
  ])
  return found.length > 0 ? found : [path]
}
