/** Complex numbers of two doubles. */
export interface Complex {
  re: number
  im: number
}

export const complex = (re: number, im = 0): Complex => ({ re, im })
export const plus = (a: Complex, b: Complex) => complex(a.re + b.re, a.im + b.im)
export const minus = (a: Complex, b: Complex) => complex(a.re - b.re, a.im - b.im)
export const magnitude = (a: Complex) => Math.hypot(a.re, a.im)

export function times(a: Complex, b: Complex): Complex {
  // Infinity times the 0 of a real number is not a number.
  if (a.im === 0 && b.im === 0) return complex(a.re * b.re)
  return complex(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)
}

export function divide(a: Complex, b: Complex): Complex {
  if (b.im === 0) return complex(a.re / b.re, a.im === 0 ? 0 : a.im / b.re)
  const size = b.re * b.re + b.im * b.im
  return complex((a.re * b.re + a.im * b.im) / size, (a.im * b.re - a.re * b.im) / size)
}

export const exponential = (a: Complex) =>
  a.im === 0
    ? complex(Math.exp(a.re))
    : complex(Math.exp(a.re) * Math.cos(a.im), Math.exp(a.re) * Math.sin(a.im))

export const logarithm = (a: Complex) => complex(Math.log(magnitude(a)), Math.atan2(a.im, a.re))

export function raise(base: Complex, exponent: Complex): Complex {
  if (exponent.im === 0 && base.im === 0 && (base.re >= 0 || Number.isInteger(exponent.re)))
    return complex(base.re ** exponent.re)
  if (exponent.im === 0 && Number.isInteger(exponent.re) && Math.abs(exponent.re) <= 64) {
    let result = complex(1)
    for (let i = 0; i < Math.abs(exponent.re); i++) result = times(result, base)
    return exponent.re < 0 ? divide(complex(1), result) : result
  }
  return exponential(times(exponent, logarithm(base)))
}

export function sine(a: Complex): Complex {
  if (a.im === 0) return complex(Math.sin(a.re))
  return complex(Math.sin(a.re) * Math.cosh(a.im), Math.cos(a.re) * Math.sinh(a.im))
}

export const cosine = (a: Complex) => sine(minus(complex(Math.PI / 2), a))
