/** Angles of rotary position embeddings, and what stretches them to longer contexts. */

/** How far apart the scaled wavelengths of Llama 3 begin and end; context lengths in tokens. */
export interface Llama3Scaling {
  factor: number
  lowFrequencyFactor: number
  highFrequencyFactor: number
  originalMaxPositions: number
}

/** @returns [headSize / 2]: theta^(-2i / headSize), in radians per position (Su et al. 2021, arXiv 2104.09864) */
export function inverseFrequencies(headSize: number, theta: number): Float64Array {
  return Float64Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize))
}

/** Position interpolation: all angles divided by `factor` (Chen et al. 2023, arXiv 2306.15595). */
export function scaleLinearly(frequencies: Float64Array, factor: number): Float64Array {
  return frequencies.map(frequency => frequency / factor)
}

/**
 * Llama 3.1's scaling: wavelengths longer than the original context allows are divided by `factor`, short ones are
 * left as they are, those in between are blended. As `_compute_llama3_parameters` in transformers.
 */
export function scaleLlama3(frequencies: Float64Array, scaling: Llama3Scaling): Float64Array {
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = scaling
  return frequencies.map(frequency => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI)
    if (turns < lowFrequencyFactor) return frequency / factor
    if (turns > highFrequencyFactor) return frequency
    const smooth = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
    return ((1 - smooth) * frequency) / factor + smooth * frequency
  })
}
