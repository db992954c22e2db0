#include "native/attention/chunk_attention.h"

#include <algorithm>

#include "native/kernels/cpu/decode_attention.h"
#include "native/kernels/reference/chunk_attention.h"

namespace rlt {
namespace {

constexpr int64_t kBlockSize = KeyValueCache::kBlockSize;

/// A chunk as samples that decode together, one a query. Where its own segment is all that there is to see, the queries
/// of a block share all blocks before it.
void addGroups(const AttentionChunk& chunk, std::vector<DecodeGroup>& groups) {
  const int64_t end = chunk.own.length, first = end - chunk.rows.count;
  if (chunk.shared.length > 0) {
    DecodeGroup group{chunk.shared, {}};
    for (int64_t place = first; place < end; ++place) group.own.push_back({chunk.own.blocks, place + 1});
    groups.push_back(std::move(group));
    return;
  }
  for (int64_t place = first; place < end;) {
    const int64_t start = place / kBlockSize * kBlockSize;
    DecodeGroup group{{chunk.own.blocks, start}, {}};
    for (; place < std::min(end, start + kBlockSize); ++place) group.own.push_back({chunk.own.blocks + start / kBlockSize, place - start + 1});
    groups.push_back(std::move(group));
  }
}

}  // namespace

at::Tensor chunkAttention(const at::Tensor& queries, const std::vector<AttentionChunk>& chunks, const KeyValueCache& cache, int64_t layer,
                          const ModelConfiguration& configuration) {
  if (!queries.is_cpu()) return reference::chunkAttention(queries, chunks, cache, layer, configuration);
  std::vector<DecodeGroup> groups;
  for (const AttentionChunk& chunk : chunks) addGroups(chunk, groups);
  return cpu::decodeAttention(queries, groups, cache, layer, configuration);
}

}  // namespace rlt
