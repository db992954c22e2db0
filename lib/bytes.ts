const units: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
}

/** An amount of memory such as 80GiB, 16 GB or 512MiB, in bytes; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*([KMG]i?B|B)$/i.exec(text.trim()) ?? []
  const bytes = Math.floor(Number(amount) * (units[unit?.toUpperCase() ?? ''] ?? Number.NaN))
  return bytes > 0 ? bytes : undefined
}
