/**
 * Python's `text.strip('\n')` takes off line breaks only. The Jinja library's strip, lstrip and rstrip leave their
 * argument aside and take off all white space, without an error: Qwen3's template would lose the spaces that a thought
 * or an answer begins with. Calls with an argument are made calls of the functions below.
 */

const methods = { strip: [true, true], lstrip: [true, false], rstrip: [false, true] } as const

type Method = keyof typeof methods

/** No template can name these itself: they have a space in them. */
const functionName = (method: Method) => `${method} characters`

/** What {@link useStripFunctions} calls, by name. */
export const stripFunctions = Object.fromEntries(
  (Object.keys(methods) as Method[]).map(method => [
    functionName(method),
    (text: unknown, characters: unknown) => strip(method, text, characters),
  ]),
)

/** Changes a parsed template in place. */
export function useStripFunctions(node: unknown): void {
  if (node === null || typeof node !== 'object') return
  for (const child of Object.values(node)) useStripFunctions(child)
  if (!isStripWithArgument(node)) return
  const { object, property } = node.callee
  node.args.unshift(object)
  Object.assign(node, { callee: { type: 'Identifier', value: functionName(property.value) } })
}

interface StripCall {
  type: 'CallExpression'
  callee: { type: 'MemberExpression'; object: unknown; property: { value: Method }; computed: false }
  args: unknown[]
}

/** The library does not export the types of its syntax tree; these parts of it are relied on. */
function isStripWithArgument(node: object): node is StripCall {
  const { type, callee, args } = node as Partial<StripCall>
  return (
    type === 'CallExpression' &&
    callee?.type === 'MemberExpression' &&
    !callee.computed &&
    Object.hasOwn(methods, callee.property.value) &&
    args!.length > 0
  )
}

function strip(method: Method, text: unknown, characters: unknown): string {
  if (typeof text !== 'string' || typeof characters !== 'string')
    throw new Error(`${method} expects a text and the characters to take off`)
  const set = new Set(characters)
  const all = [...text]
  const [atStart, atEnd] = methods[method]
  let start = 0
  let end = all.length
  if (atStart) while (start < end && set.has(all[start]!)) start++
  if (atEnd) while (end > start && set.has(all[end - 1]!)) end--
  return all.slice(start, end).join('')
}
