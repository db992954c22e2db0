#pragma once

#include <ATen/core/Tensor.h>

#include "native/kernels/cuda/decode_plan.h"
#include "native/model/configuration.h"

namespace rlt::cuda {

/// A DecodePlan in a device's memory: its three lists one after another.
struct PlacedDecodePlan {
  at::Tensor numbers;  // int32
  int64_t pieces = 0, samples = 0, parts = 0;
};

PlacedDecodePlan placeOn(at::Device device, const DecodePlan& plan);

/// attention/decode_attention.h on a CUDA device. keys and values: a layer's pools, of the queries' type.
at::Tensor decodeAttention(const at::Tensor& queries, const PlacedDecodePlan& plan, const at::Tensor& keys, const at::Tensor& values,
                           const ModelConfiguration& configuration);

}  // namespace rlt::cuda
