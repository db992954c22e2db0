#include "native/kernels/reference/decode_attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "native/kernels/reference/cached_rows.h"

namespace rlt::reference {

at::Tensor decodeAttention(const at::Tensor& queries, const std::vector<DecodeGroup>& groups, const KeyValueCache& cache, int64_t layer,
                           const ModelConfiguration& c) {
  std::vector<at::Tensor> outputs;
  int64_t row = 0;
  for (const DecodeGroup& group : groups) {
    for (const CachedPositions& own : group.own) {
      const auto both = [&](const at::Tensor& pool) { return cachedRows(pool, {group.shared, own}); };
      const at::Tensor query =
          queries[row++].narrow(0, 0, c.queryWidth()).to(at::kFloat).view({c.keyValueHeads, c.queriesPerKey(), c.headSize});
      const at::Tensor scores = at::bmm(query, both(cache.keys(layer)).transpose(1, 2)) / std::sqrt(static_cast<double>(c.headSize));
      outputs.push_back(at::bmm(scores.softmax(-1), both(cache.values(layer))).reshape({c.queryWidth()}));
    }
  }
  return at::stack(outputs, 0).to(queries.scalar_type());
}

}  // namespace rlt::reference
