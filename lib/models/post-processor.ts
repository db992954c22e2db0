/** The part of a tokenizer.json that puts special tokens around a text. */
import type { Fields } from './fields.js'

export interface SpecialToken {
  id: number
  text: string
}

/** A template that sets `first` before and `last` after each sequence. */
export function surroundingTokens(first?: SpecialToken, last?: SpecialToken): Fields {
  const special = (token: SpecialToken | undefined, type: number) =>
    token ? [{ SpecialToken: { id: token.text, type_id: type } }] : []
  const sequence = (name: 'A' | 'B', type: number) => [
    ...special(first, type),
    { Sequence: { id: name, type_id: type } },
    ...special(last, type),
  ]
  const used = [first, last].filter(token => token !== undefined)
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries(
      used.map(({ id, text }) => [text, { id: text, ids: [id], tokens: [text] }]),
    ),
  }
}
