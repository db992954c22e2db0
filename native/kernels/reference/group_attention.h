#pragma once

#include "native/attention/group_attention.h"

namespace rlt::reference {

/// groupAttention() and its gradient in ATen operations: a block of queries at a time, scores held in fp32.
AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& configuration);
at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& configuration);

}  // namespace rlt::reference
