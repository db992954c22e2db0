/** Exact fractions. Every operation gives undefined where the result is not defined or would be too long to be worth it. */

/** In lowest terms; the denominator is positive. */
export interface Rational {
  numerator: bigint
  denominator: bigint
}

/** Longer results are not computed, so that a text such as 9^{9^9} costs nothing. */
const maxBits = 1 << 16

export function rational(numerator: bigint, denominator = 1n): Rational | undefined {
  if (denominator === 0n) return undefined
  if (isLong(numerator) || isLong(denominator)) return undefined
  const divisor = greatestCommonDivisor(numerator, denominator)
  const sign = denominator < 0n ? -1n : 1n
  return { numerator: (sign * numerator) / divisor, denominator: (sign * denominator) / divisor }
}

/** Of digits with at most one decimal point. */
export function fromDecimal(text: string): Rational | undefined {
  const [whole = '', fraction = ''] = text.split('.')
  return rational(BigInt(`0${whole}${fraction}`), 10n ** BigInt(fraction.length))
}

export function add(a: Rational, b: Rational): Rational | undefined {
  return rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator)
}

export function multiply(a: Rational, b: Rational): Rational | undefined {
  return rational(a.numerator * b.numerator, a.denominator * b.denominator)
}

export function power(base: Rational, exponent: Rational): Rational | undefined {
  if (exponent.denominator !== 1n) return undefined
  const times = exponent.numerator < 0n ? -exponent.numerator : exponent.numerator
  const { numerator, denominator } = base
  const bits = BigInt(Math.max(bitLength(numerator), bitLength(denominator)))
  if (bits > 1n && bits * times > maxBits) return undefined
  // Of 1, 0 and -1, only the parity counts.
  const short = bits > 1n ? times : times === 0n ? 0n : 2n - (times % 2n)
  const [above, below] = [numerator ** short, denominator ** short]
  return exponent.numerator < 0n ? rational(below, above) : rational(above, below)
}

export function equals(a: Rational, b: Rational): boolean {
  return a.numerator === b.numerator && a.denominator === b.denominator
}

export function compare(a: Rational, b: Rational): number {
  const difference = a.numerator * b.denominator - b.numerator * a.denominator
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** To the nearest multiple of 10^-decimals, halves to the even one. */
export function round({ numerator, denominator }: Rational, decimals: number): bigint {
  const scaled = 2n * numerator * 10n ** BigInt(decimals)
  const below = floorDivide(scaled - denominator, 2n * denominator)
  const isHalf = scaled - denominator === below * 2n * denominator
  return isHalf && below % 2n === 0n ? below : below + 1n
}

export function toNumber({ numerator, denominator }: Rational): number {
  const excess = Math.max(bitLength(numerator), bitLength(denominator)) - 1000
  if (excess <= 0) return Number(numerator) / Number(denominator)
  // Both may be beyond the range of a double while their quotient is not.
  const digits = 30n
  const shift = BigInt(bitLength(denominator) - bitLength(numerator)) + 3n * digits
  const quotient = shift >= 0n ? (numerator << shift) / denominator : numerator / (denominator << -shift)
  return Number(quotient) * 2 ** -Number(shift)
}

export function floor({ numerator, denominator }: Rational): bigint {
  return floorDivide(numerator, denominator)
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient
}

const isLong = (value: bigint) => bitLength(value) > 2 * maxBits

function bitLength(value: bigint): number {
  return (value < 0n ? -value : value).toString(16).length * 4
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b]
  while (y !== 0n) [x, y] = [y, x % y]
  return x
}
