// Log-softmax and gather over a slice of the vocabulary; the matrix products are cuBLAS's.
#pragma once

#include "native/kernels/cuda/block.h"
#include "native/kernels/cuda/element_math.h"

namespace rlt::cuda {

struct MergeSummaries {
  RLT_DEVICE SoftmaxSummary operator()(SoftmaxSummary a, SoftmaxSummary b) const { return merge(a, b); }
};

/// Folds logits [rows, width] of the vocabulary from `first` on into what is known of each row. One block a row.
template <typename T>
struct AccumulateLogits {
  const T* logits;
  const int64_t* targets;
  float *maximum, *sum, *weightedSum, *targetLogit;  // weightedSum null: no entropy
  int64_t rows, width, first;
  float scale;

  Grid grid() const { return {rows, 1, 256, sharedBytesOf<SoftmaxSummary>(256)}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    const int64_t row = block.x();
    const T* values = logits + row * width;
    SoftmaxSummary* scratch = block.template shared<SoftmaxSummary>(block.threads());
    typename Block::template Own<SoftmaxSummary> mine(block, SoftmaxSummary{});
    block.each([&](int t) {
      for (int64_t i = t; i < width; i += block.threads()) mine[t] = include(mine[t], static_cast<float>(values[i]) * scale);
    });
    const SoftmaxSummary slice = reduce(block, scratch, mine, MergeSummaries{});
    block.each([&](int t) {
      if (t != 0) return;
      const SoftmaxSummary known = merge({maximum[row], sum[row], weightedSum ? weightedSum[row] : 0.0f}, slice);
      maximum[row] = known.maximum;
      sum[row] = known.sum;
      if (weightedSum) weightedSum[row] = known.weightedSum;
      const int64_t place = targets[row] - first;
      if (place >= 0 && place < width) targetLogit[row] = static_cast<float>(values[place]) * scale;
    });
  }
};

/// Turns such a slice into the gradient of the targets' log-probabilities, in place. One block a row.
template <typename T>
struct LogitsToGradient {
  T* logits;
  const int64_t* targets;
  const float *logNormaliser, *coefficient;
  int64_t rows, width, first;
  float scale;

  Grid grid() const { return {rows, 1, 256, 0}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    const int64_t row = block.x(), place = targets[row] - first;
    T* values = logits + row * width;
    block.each([&](int t) {
      for (int64_t i = t; i < width; i += block.threads())
        values[i] = logitGradient(static_cast<float>(values[i]) * scale, logNormaliser[row], i == place, coefficient[row]);
    });
  }
};

}  // namespace rlt::cuda
