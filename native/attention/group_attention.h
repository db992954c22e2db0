// Causal attention of packed token groups, each prefix computed once.
//
// A suffix attends to the whole prefix of its group and, causally, to itself; a prefix to itself. The gradients that
// all suffixes of a group send into the prefix's keys and values are summed. Exactly what attention over each
// (prefix + suffix) sequence on its own would give, within rounding.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/model/configuration.h"
#include "native/model/packed_groups.h"

namespace rlt {

struct AttentionOutput {
  at::Tensor values;         // [rows, heads * headSize], the model's type
  at::Tensor logNormaliser;  // [rows, heads] fp32: log of the softmax's denominator, for the backward pass
};

/// queryKeyValue [rows, (heads + 2 keyValueHeads) headSize], already rotated.
AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& configuration);

/// The gradient for queryKeyValue, same shape and type.
at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& configuration);

}  // namespace rlt
