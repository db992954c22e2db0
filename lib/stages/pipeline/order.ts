/** In which order stages come: each after those that it needs, else as they are written. */

/** @returns the order, or the names along a circle, which begins and ends with the same */
export function orderOf(
  needs: ReadonlyMap<string, readonly string[]>,
): { order: string[] } | { circle: string[] } {
  const order: string[] = []
  const done = new Set<string>()
  const visit = (name: string, way: readonly string[]): string[] | undefined => {
    if (done.has(name)) return undefined
    if (way.includes(name)) return [...way.slice(way.indexOf(name)), name]
    for (const needed of needs.get(name) ?? []) {
      const circle = visit(needed, [...way, name])
      if (circle) return circle
    }
    done.add(name)
    order.push(name)
    return undefined
  }
  for (const name of needs.keys()) {
    const circle = visit(name, [])
    if (circle) return { circle }
  }
  return { order }
}

/** All that need `name`, and what needs these, and so on. */
export function dependantsOf(name: string, needs: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set<string>()
  const add = (wanted: string) => {
    for (const [other, needed] of needs)
      if (needed.includes(wanted) && !found.has(other)) {
        found.add(other)
        add(other)
      }
  }
  add(name)
  return found
}
