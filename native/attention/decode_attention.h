// Attention of one query a sample over its cached keys.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/attention/decode_group.h"
#include "native/attention/key_value_cache.h"
#include "native/kernels/cuda/decode_attention.h"
#include "native/model/configuration.h"

namespace rlt {

/// What one decoding step attends to: the same in every layer, so that it is divided and brought to a GPU once.
class DecodeAttention {
 public:
  DecodeAttention(std::vector<DecodeGroup> groups, const ModelConfiguration& configuration, at::Device device);

  /// queries [samples, width >= heads * headSize], samples in the groups' order; returns [samples, heads * headSize].
  at::Tensor operator()(const at::Tensor& queries, const KeyValueCache& cache, int64_t layer) const;

 private:
  std::vector<DecodeGroup> groups_;
  const ModelConfiguration& configuration_;
  cuda::PlacedDecodePlan plan_;  // empty elsewhere than on CUDA
};

}  // namespace rlt
