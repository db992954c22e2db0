// Causal attention of consecutive tokens of a sequence whose earlier keys and values lie in the cache: the pieces in
// which a long prompt is fed (chunked prefill, Agrawal et al. 2023), and sequences that are computed again after they
// had to give their blocks back.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "native/attention/key_value_cache.h"
#include "native/model/configuration.h"
#include "native/model/packed_groups.h"

namespace rlt {

struct AttentionChunk {
  CachedPositions shared;  // of the prefix before the chunk's own segment; may be empty
  CachedPositions own;     // up to the chunk's last token, all stored
  Rows rows;               // the chunk's queries: those of the last `rows.count` positions of `own`
};

/// queries [rows, width >= heads * headSize], the chunks' rows one after another from row 0. Returns
/// [rows, heads * headSize].
at::Tensor chunkAttention(const at::Tensor& queries, const std::vector<AttentionChunk>& chunks, const KeyValueCache& cache, int64_t layer,
                          const ModelConfiguration& configuration);

}  // namespace rlt
