/** Angles of rotary position embeddings, and what stretches them to longer contexts. */
import type { Fields } from './fields.js'

/** The kinds of rotary embedding, in the terms of config.json. Lengths are in tokens. */
export type Rotary = { theta: number } & (
  | { type: 'default' }
  | { type: 'linear'; factor: number }
  | {
      type: 'llama3'
      factor: number
      lowFrequencyFactor: number
      highFrequencyFactor: number
      originalMaxPositions: number
    }
)

/** Far beyond any model's: larger is a damaged field, which must not become a table that fills the memory. */
export const mostHeadSize = 65_536

/** @returns [headSize / 2], in radians per position */
export function inverseFrequencies(rotary: Rotary, headSize: number): Float64Array {
  const plain = plainFrequencies(rotary.theta, headSize)
  switch (rotary.type) {
    case 'default':
      return plain
    case 'linear':
      // Position interpolation (Chen et al. 2023, arXiv 2306.15595).
      return plain.map(frequency => frequency / rotary.factor)
    case 'llama3':
      return plain.map(frequency => scaleLlama3(frequency, rotary))
  }
}

/** theta^(-2i / headSize) (Su et al. 2021, arXiv 2104.09864). */
function plainFrequencies(theta: number, headSize: number): Float64Array {
  return Float64Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize))
}

/**
 * Llama 3.1's scaling: wavelengths that the original context is too short for are stretched by `factor`, short ones
 * are left as they are, those in between are blended. As `_compute_llama3_parameters` in transformers.
 */
function scaleLlama3(frequency: number, rotary: Rotary & { type: 'llama3' }): number {
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = rotary
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI)
  if (turns < lowFrequencyFactor) return frequency / factor
  if (turns > highFrequencyFactor) return frequency
  const share = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
  return ((1 - share) * frequency) / factor + share * frequency
}

/**
 * GGUF keeps Llama 3's scaling as what each plain frequency was divided by. All released models blend between 1 and 4
 * turns of 8192 positions and differ in the factor, which the largest divisor shows.
 * @returns undefined where that does not give these divisors
 */
export function rotaryOfDivisors(theta: number, divisors: Float32Array): Rotary | undefined {
  const factor = divisors.reduce((largest, divisor) => Math.max(largest, divisor), 1)
  const rotary: Rotary = {
    theta,
    type: 'llama3',
    factor,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalMaxPositions: 8192,
  }
  const headSize = divisors.length * 2
  const plain = plainFrequencies(theta, headSize)
  const scaled = inverseFrequencies(rotary, headSize)
  // The divisors were rounded to float32: 6e-8 of their size, and a few operations before.
  const fits = divisors.every((divisor, i) => Math.abs((scaled[i]! * divisor) / plain[i]! - 1) < 1e-5)
  return fits ? rotary : undefined
}

/** The fields of config.json: the form that every version of transformers reads. */
export function rotaryFields(rotary: Rotary): Fields {
  switch (rotary.type) {
    case 'default':
      return { rope_theta: rotary.theta, rope_scaling: null }
    case 'linear':
      return { rope_theta: rotary.theta, rope_scaling: { rope_type: 'linear', factor: rotary.factor } }
    case 'llama3':
      return {
        rope_theta: rotary.theta,
        rope_scaling: {
          rope_type: 'llama3',
          factor: rotary.factor,
          low_freq_factor: rotary.lowFrequencyFactor,
          high_freq_factor: rotary.highFrequencyFactor,
          original_max_position_embeddings: rotary.originalMaxPositions,
        },
      }
  }
}
