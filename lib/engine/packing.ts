import type { PerToken, TokenGroup, Tokens } from './types.js'

/** A batch that goes to the engine in one call. */
export interface Pack {
  /** Prefixes and suffixes, group after group. */
  tokens: Int32Array
  /** For each group: the prefix's length, the number of suffixes, the length of each. */
  layout: Int32Array
  /** Which suffixes these are, in order. */
  members: { group: number; suffix: number; length: number }[]
  suffixTokens: number
}

/**
 * Splits token groups into packs of at most `tokenBudget` tokens, without padding. A group stays together as far as
 * it fits; each part of a group that had to be split repeats the prefix. A single sequence longer than the budget
 * makes a pack of its own. Groups without suffixes take no part.
 */
export function packGroups(groups: readonly TokenGroup[], tokenBudget: number): Pack[] {
  const packs: Pack[] = []
  let builder = new PackBuilder()
  const finish = () => {
    if (!builder.empty) packs.push(builder.build())
    builder = new PackBuilder()
  }
  groups.forEach((group, groupIndex) => {
    // A group that would fit in a pack of its own is not torn apart for the sake of filling this one.
    const whole = group.prefix.length + group.suffixes.reduce((sum, suffix) => sum + fed(suffix), 0)
    if (whole <= tokenBudget && builder.tokenCount + whole > tokenBudget) finish()
    let opened = false
    group.suffixes.forEach((suffix, suffixIndex) => {
      if (
        !builder.empty &&
        builder.tokenCount + fed(suffix) + (opened ? 0 : group.prefix.length) > tokenBudget
      ) {
        finish()
        opened = false
      }
      if (!opened) builder.open(group.prefix)
      opened = true
      builder.add(groupIndex, suffixIndex, suffix)
    })
  })
  finish()
  return packs
}

/** Tokens of a suffix that are computed: nothing is predicted from the last one. */
function fed(suffix: Tokens): number {
  return Math.max(suffix.length - 1, 0)
}

class PackBuilder {
  tokenCount = 0
  private readonly parts: Tokens[] = []
  private readonly layout: number[] = []
  private readonly members: Pack['members'] = []
  private countPlace = -1

  get empty(): boolean {
    return this.members.length === 0
  }

  open(prefix: Tokens): void {
    this.parts.push(prefix)
    this.layout.push(prefix.length, 0)
    this.countPlace = this.layout.length - 1
    this.tokenCount += prefix.length
  }

  add(group: number, suffix: number, tokens: Tokens): void {
    this.parts.push(tokens)
    this.layout.push(tokens.length)
    this.layout[this.countPlace]! += 1
    this.members.push({ group, suffix, length: tokens.length })
    this.tokenCount += fed(tokens)
  }

  build(): Pack {
    return {
      tokens: concatenate(this.parts),
      layout: Int32Array.from(this.layout),
      members: this.members,
      suffixTokens: this.members.reduce((sum, member) => sum + member.length, 0),
    }
  }
}

export function concatenate(parts: readonly Tokens[]): Int32Array {
  const whole = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let place = 0
  for (const part of parts) {
    whole.set(part, place)
    place += part.length
  }
  return whole
}

/** Picks a pack's values out of `values[group][suffix][token]`, in the pack's order. */
export function gather(pack: Pack, values: PerToken): Float32Array {
  const flat = new Float32Array(pack.suffixTokens)
  let place = 0
  for (const { group, suffix, length } of pack.members) {
    flat.set(values[group]![suffix]!.subarray(0, length), place)
    place += length
  }
  return flat
}

/** The inverse of {@link gather}: writes a pack's values into `values[group][suffix]`. */
export function scatter(pack: Pack, flat: Float32Array, values: Float32Array[][]): void {
  let place = 0
  for (const { group, suffix, length } of pack.members) {
    values[group]![suffix] = flat.slice(place, place + length)
    place += length
  }
}
