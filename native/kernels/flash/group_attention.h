#pragma once

#include "native/attention/group_attention.h"

namespace rlt::flash {

/// attention/group_attention.h by flash attention, in two parts for all groups together: every prefix and every suffix
/// to itself, causally; and all suffixes of a group, one after another, to their prefix. A suffix's rows are both parts'
/// weighted by their share of the softmax's denominator.
AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& configuration);

at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& configuration);

}  // namespace rlt::flash
