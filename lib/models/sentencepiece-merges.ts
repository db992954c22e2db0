/** SentencePiece keeps a score for each piece; the tokenizers library wants merges in the order of application. */

interface Cut {
  left: string
  right: string
  leftId: number
  rightId: number
  score: number
}

/**
 * SentencePiece joins whichever neighbours make the piece of the highest score. So: every way to cut each piece into
 * two pieces, the best piece first. Ties in transformers' order (`generate_merges`).
 * @param mayMerge whether a token is made of others at all: control and byte tokens are not
 */
export function mergesByScore(
  tokens: readonly string[],
  scores: readonly number[],
  mayMerge: (id: number) => boolean,
): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const cuts = tokens.flatMap((token, id) => (mayMerge(id) ? cutsOf(token, scores[id]!, ids) : []))
  return cuts.sort(byPrecedence).map(({ left, right }) => [left, right])
}

function cutsOf(token: string, score: number, ids: Map<string, number>): Cut[] {
  const cuts: Cut[] = []
  let at = 0
  for (const character of token) {
    at += character.length
    const [left, right] = [token.slice(0, at), token.slice(at)]
    const [leftId, rightId] = [ids.get(left), ids.get(right)]
    if (leftId !== undefined && rightId !== undefined) cuts.push({ left, right, leftId, rightId, score })
  }
  return cuts.sort((a, b) => a.leftId - b.leftId || a.rightId - b.rightId)
}

function byPrecedence(a: Cut, b: Cut): number {
  return b.score - a.score || lengthOf(b.left) - lengthOf(a.left) || lengthOf(b.right) - lengthOf(a.right)
}

/** In characters. */
function lengthOf(text: string): number {
  let length = 0
  for (const _ of text) length++
  return length
}
