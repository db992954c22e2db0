#pragma once

#include "native/attention/key_value_cache.h"

namespace rlt::cpu {

/// attention/decode_attention.h: some samples of one group and one key-value head a task.
at::Tensor decodeAttention(const at::Tensor& queries, const std::vector<DecodeGroup>& groups, const KeyValueCache& cache, int64_t layer,
                           const ModelConfiguration& configuration);

}  // namespace rlt::cpu
