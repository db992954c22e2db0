#pragma once

#include "native/attention/group_attention.h"

namespace rlt::cpu {

/// groupAttention() and its gradient for bfloat16 on AMX: a (sequence, key-value head) a task.
AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& configuration);
at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& configuration);

}  // namespace rlt::cpu
