/**
 * Activation checkpointing: what a backward pass keeps of each layer, and what it computes again. The engine's own
 * structures, written down as arithmetic: `LayerActivations` in native/model/decoder.h.
 */
import type { ModelShape } from '../models/index.js'

/**
 * The fastest first. none keeps all that the backward pass needs; selective all but the outputs of norms and SwiGLU,
 * which are cheap to compute again; every-layer only what enters each layer. Gradients are the same bit for bit.
 */
export const checkpointingPolicies = ['none', 'selective', 'every-layer'] as const
export type Checkpointing = (typeof checkpointingPolicies)[number]

/** Logits are made and used so many at a time: native/scoring. */
const logitsHeld = 8 * 2 ** 20

/**
 * What the backward pass holds beside what it needs, by measurement (SmolLM2-135M, 2,048 tokens): copies of matrices in
 * the kernels' own order, and freed memory that is not given back.
 */
const backwardOverhead = 100e6

/** The most that a forward and backward pass over so many tokens holds beside weights and gradients, in bytes. */
export function trainingActivationBytes(
  shape: ModelShape,
  bytesPerValue: 2 | 4,
  policy: Checkpointing,
  tokens: number,
): number {
  const kept = { none: keptOfAll, selective: keptSelectively, 'every-layer': keptOfInput }[policy](shape)
  const held = tokens * (shape.layers * kept + workingPerToken(shape)) * bytesPerValue
  return held + logitsHeld * 4 + backwardOverhead
}

/** The same of a forward pass alone. */
export function scoringActivationBytes(shape: ModelShape, bytesPerValue: 2 | 4, tokens: number): number {
  return tokens * workingPerToken(shape) * bytesPerValue + logitsHeld * 4
}

// Values of a layer and token that wait for the backward pass.

function keptOfInput({ hiddenSize }: ModelShape): number {
  return hiddenSize
}

function keptOfAll(shape: ModelShape): number {
  return neededPerToken(shape) + recomputedPerToken(shape)
}

/** Freed between tensors that stay, about half of what is computed again is room that nothing else fits into. */
function keptSelectively(shape: ModelShape): number {
  return neededPerToken(shape) + recomputedPerToken(shape) / 2
}

/** The layer's input, queries, keys and values, what attention gave, the middle, gate and up. */
function neededPerToken(shape: ModelShape): number {
  const queries = shape.heads * shape.headSize
  const keys = shape.keyValueHeads * shape.headSize
  const unnormalised = shape.queryKeyNorm ? queries + keys : 0
  return 2 * shape.hiddenSize + 2 * queries + 2 * keys + unnormalised + 2 * shape.intermediateSize
}

/** What two norms and SwiGLU give. */
function recomputedPerToken({ hiddenSize, intermediateSize }: ModelShape): number {
  return 2 * hiddenSize + intermediateSize
}

/** Values of a token in the layer that is being computed, gradients included. */
function workingPerToken(shape: ModelShape): number {
  return neededPerToken(shape) + 4 * shape.hiddenSize + 3 * shape.intermediateSize
}
