import type { formatPlaceholders } from '../../config/index.js'

type Placeholder = (typeof formatPlaceholders)[number]

/**
 * Replaces {question}, {solution} and {explanation}. In one pass, so that what is put in is never replaced itself; other
 * braces stand as they are, as do the placeholders that `values` lacks.
 */
export function fill(template: string, values: Partial<Record<Placeholder, string>>): string {
  return template.replaceAll(
    /\{(question|solution|explanation)\}/g,
    (whole, name) => values[name as Placeholder] ?? whole,
  )
}

/** The texts before, between and after two placeholders, the first of which comes first. */
export function splitAt(template: string, first: Placeholder, second: Placeholder): [string, string, string] {
  const [before = '', rest = ''] = splitOnce(template, `{${first}}`)
  const [between = '', after = ''] = splitOnce(rest, `{${second}}`)
  return [before, between, after]
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}
