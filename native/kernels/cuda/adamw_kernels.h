// One AdamW step in one pass; the gradient is cleared.
#pragma once

#include "native/kernels/cuda/block.h"
#include "native/kernels/cuda/element_math.h"
#include "native/training/dynamic_codes.h"

namespace rlt::cuda {

/// fp32 weights, or the halves of fp32 masters.
struct Weights {
  float* whole;     // or null: then both halves
  uint16_t* upper;  // the bits of the bfloat16 weight
  int16_t* lower;

  RLT_DEVICE float load(int64_t i) const { return whole ? whole[i] : join({upper[i], lower[i]}); }

  RLT_DEVICE void store(int64_t i, float value) const {
    if (whole) {
      whole[i] = value;
      return;
    }
    const SplitMaster parts = split(value);
    upper[i] = parts.upper;
    lower[i] = parts.lower;
  }
};

/// Moments in fp32. A thread a weight.
struct AdamW {
  Weights weights;
  float *gradient, *first, *second;
  int64_t n;
  cpu::AdamWStep step;

  Grid grid() const { return gridOver(n); }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    forAll(block, n, [&](int64_t i) {
      weights.store(i, adamWElement(weights.load(i), gradient[i], first[i], second[i], step));
      gradient[i] = 0;
    });
  }
};

/// The tables of DynamicCodes, in the device's memory.
struct CodeTables {
  const float* values;     // 256
  const uint8_t* nearest;  // 65536
};

/// Moments in 8 bits, the second one's root (training/moments.h). One block a block of codes.
struct AdamWOf8BitMoments {
  Weights weights;
  float* gradient;
  uint8_t *first, *second;
  float *firstScale, *secondScale;
  CodeTables withSign, withoutSign;
  int64_t n;
  cpu::AdamWStep step;

  Grid grid() const { return {(n + kCodeBlock - 1) / kCodeBlock, 1, static_cast<int>(kCodeBlock), sharedBytesOf<float>(kCodeBlock)}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    float* scratch = block.template shared<float>(kCodeBlock);
    typename Block::template Own<float> m(block, 0.0f), root(block, 0.0f), magnitude(block, 0.0f);
    block.each([&](int t) {
      const int64_t i = block.x() * kCodeBlock + t;
      if (i >= n) return;
      m[t] = withSign.values[first[i]] * firstScale[block.x()];
      root[t] = withoutSign.values[second[i]] * secondScale[block.x()];
      float v = root[t] * root[t];
      weights.store(i, adamWElement(weights.load(i), gradient[i], m[t], v, step));
      gradient[i] = 0;
      root[t] = std::sqrt(v);
    });
    encode(block, scratch, m, magnitude, withSign, first, firstScale);
    encode(block, scratch, root, magnitude, withoutSign, second, secondScale);
  }

 private:
  /// As DynamicCodes::encode().
  template <typename Block>
  RLT_DEVICE void encode(Block& block, float* scratch, typename Block::template Own<float>& values, typename Block::template Own<float>& magnitude,
                         const CodeTables& tables, uint8_t* codes, float* scales) const {
    block.each([&](int t) { magnitude[t] = std::fabs(values[t]); });
    const float scale = reduce(block, scratch, magnitude, Larger{});
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    block.each([&](int t) {
      const int64_t i = block.x() * kCodeBlock + t;
      if (t == 0) scales[block.x()] = scale;
      if (i < n) codes[i] = tables.nearest[(bitsOf(values[t] * inverse) + 0x8000u) >> 16];
    });
  }
};

}  // namespace rlt::cuda
