#pragma once

#include "native/attention/chunk_attention.h"

namespace rlt::reference {

/// chunkAttention() of attention/chunk_attention.h in ATen operations.
at::Tensor chunkAttention(const at::Tensor& queries, const std::vector<AttentionChunk>& chunks, const KeyValueCache& cache, int64_t layer,
                          const ModelConfiguration& configuration);

}  // namespace rlt::reference
