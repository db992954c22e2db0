#pragma once

#include "native/attention/key_value_cache.h"

namespace rlt::reference {

/// attention/decode_attention.h in ATen operations, sample after sample.
at::Tensor decodeAttention(const at::Tensor& queries, const std::vector<DecodeGroup>& groups, const KeyValueCache& cache, int64_t layer,
                           const ModelConfiguration& configuration);

}  // namespace rlt::reference
