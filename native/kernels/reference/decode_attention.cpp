#include "native/kernels/reference/decode_attention.h"

#include <ATen/ATen.h>

#include <cmath>

namespace rlt::reference {
namespace {

/// A segment's rows of one pool, [length, keyValueHeads, headSize] fp32.
at::Tensor gather(const at::Tensor& pool, const CacheSegment& segment) {
  const at::Tensor blocks = at::tensor(segment.blocks(), at::TensorOptions().dtype(at::kInt)).to(pool.device());
  const at::Tensor rows = pool.index_select(0, blocks).transpose(1, 2).reshape({-1, pool.size(1), pool.size(3)});
  return rows.narrow(0, 0, segment.length()).to(at::kFloat);
}

}  // namespace

at::Tensor decodeAttention(const at::Tensor& queries, const std::vector<DecodeGroup>& groups, const KeyValueCache& cache, int64_t layer,
                           const ModelConfiguration& c) {
  std::vector<at::Tensor> outputs;
  int64_t row = 0;
  for (const DecodeGroup& group : groups) {
    for (const CacheSegment* own : group.own) {
      const auto both = [&](const at::Tensor& pool) { return at::cat({gather(pool, *group.shared), gather(pool, *own)}, 0).permute({1, 0, 2}); };
      const at::Tensor query =
          queries[row++].narrow(0, 0, c.queryWidth()).to(at::kFloat).view({c.keyValueHeads, c.queriesPerKey(), c.headSize});
      const at::Tensor scores = at::bmm(query, both(cache.keys(layer)).transpose(1, 2)) / std::sqrt(static_cast<double>(c.headSize));
      outputs.push_back(at::bmm(scores.softmax(-1), both(cache.values(layer))).reshape({c.queryWidth()}));
    }
  }
  return at::stack(outputs, 0).to(queries.scalar_type());
}

}  // namespace rlt::reference
