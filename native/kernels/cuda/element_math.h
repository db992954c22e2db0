// The arithmetic of the CUDA kernels, one element at a time, for host and device.
//
// Everything is float32; sums merge in any order.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "native/kernels/cpu/vector_kernels.h"  // AdamWStep
#include "native/kernels/cuda/block.h"

namespace rlt::cuda {

/// a b, never part of a fused operation that would round it otherwise: what is the largest of such products stays it.
RLT_HOST_DEVICE float roundedProduct(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

struct Pair {
  float first, second;
};

/// A half-split pair of a head rotated by an angle; `sine` negated rotates back.
RLT_HOST_DEVICE Pair rotatePair(Pair x, float cosine, float sine) {
  return {x.first * cosine - x.second * sine, x.second * cosine + x.first * sine};
}

RLT_HOST_DEVICE float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

RLT_HOST_DEVICE float swigluOf(float gate, float up) { return gate * sigmoid(gate) * up; }

/// d (silu(gate) up) / d gate and / d up, times dy.
RLT_HOST_DEVICE Pair swigluGradient(float gate, float up, float dy) {
  const float s = sigmoid(gate), silu = gate * s;
  return {dy * up * (s + silu * (1.0f - s)), dy * silu};
}

/// What RMSNorm adds to dx, with normalised = x inverseRms, weighted = dy weight and projection = mean(weighted normalised).
RLT_HOST_DEVICE float rmsNormGradient(float normalised, float weighted, float projection, float inverseRms) {
  return (weighted - normalised * projection) * inverseRms;
}

/// A softmax's normaliser over the logits seen so far. Empty while `sum` is 0.
struct SoftmaxSummary {
  float maximum = -INFINITY;
  float sum = 0;          // of exp(x - maximum)
  float weightedSum = 0;  // of (x - maximum) exp(x - maximum), for the entropy
};

/// Both summaries as one.
RLT_HOST_DEVICE SoftmaxSummary merge(SoftmaxSummary a, SoftmaxSummary b) {
  if (b.sum == 0) return a;
  if (a.sum == 0) return b;
  const float maximum = a.maximum > b.maximum ? a.maximum : b.maximum;
  const float shiftA = a.maximum - maximum, shiftB = b.maximum - maximum;
  const float scaleA = std::exp(shiftA), scaleB = std::exp(shiftB);
  return {maximum, a.sum * scaleA + b.sum * scaleB,
          scaleA * (a.weightedSum + shiftA * a.sum) + scaleB * (b.weightedSum + shiftB * b.sum)};
}

/// A summary with one logit more. A logit of -infinity has probability 0; NaN makes the sum NaN.
RLT_HOST_DEVICE SoftmaxSummary include(SoftmaxSummary summary, float x) {
  return x == -INFINITY ? summary : merge(summary, {x, std::isnan(x) ? x : 1.0f, 0.0f});
}

/// coefficient (1[target] - softmax(x)): the gradient of coefficient log softmax(x)[target] for a logit x.
RLT_HOST_DEVICE float logitGradient(float x, float logNormaliser, bool isTarget, float coefficient) {
  return coefficient * ((isTarget ? 1.0f : 0.0f) - std::exp(x - logNormaliser));
}

/// Updates both moments and returns the new weight.
RLT_HOST_DEVICE float adamWElement(float weight, float gradient, float& first, float& second, const cpu::AdamWStep& step) {
  const float g = gradient * step.gradientScale;
  first += (g - first) * (1.0f - step.beta1);
  second = second * step.beta2 + g * g * (1.0f - step.beta2);
  return weight * step.decay - step.stepSize * first / (std::sqrt(second) * step.inverseRootBiasCorrection2 + step.epsilon);
}

RLT_HOST_DEVICE uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

RLT_HOST_DEVICE float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// An fp32 master as a bfloat16 (its bits) and what remains, to nearest with ties away from zero.
struct SplitMaster {
  uint16_t upper;
  int16_t lower;
};

RLT_HOST_DEVICE SplitMaster split(float master) {
  const uint32_t bits = bitsOf(master);
  const uint32_t upper = (bits + 0x8000u) >> 16;
  return {static_cast<uint16_t>(upper), static_cast<int16_t>(static_cast<uint16_t>(bits - (upper << 16)))};
}

RLT_HOST_DEVICE float join(SplitMaster parts) {
  return floatOf((static_cast<uint32_t>(parts.upper) << 16) + static_cast<uint32_t>(static_cast<int32_t>(parts.lower)));
}

}  // namespace rlt::cuda
