#include "native/kernels/reference/chunk_attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "native/kernels/reference/cached_rows.h"

namespace rlt::reference {
namespace {

/// Query rows taken at a time: bounds the scores held to heads x block x keys.
constexpr int64_t kQueryBlock = 256;

}  // namespace

at::Tensor chunkAttention(const at::Tensor& queries, const std::vector<AttentionChunk>& chunks, const KeyValueCache& cache, int64_t layer,
                          const ModelConfiguration& c) {
  at::Tensor output = at::empty({queries.size(0), c.queryWidth()}, queries.options());
  const auto longs = queries.options().dtype(at::kLong);
  for (const AttentionChunk& chunk : chunks) {
    const at::Tensor keys = cachedRows(cache.keys(layer), {chunk.shared, chunk.own}), values = cachedRows(cache.values(layer), {chunk.shared, chunk.own});
    for (int64_t done = 0; done < chunk.rows.count; done += kQueryBlock) {
      const int64_t row = chunk.rows.first + done, count = std::min(kQueryBlock, chunk.rows.count - done);
      const int64_t firstPlace = keys.size(1) - chunk.rows.count + done;
      const at::Tensor folded = queries.narrow(0, row, count).narrow(1, 0, c.queryWidth()).to(at::kFloat)
                                    .reshape({count, c.keyValueHeads, c.queriesPerKey(), c.headSize}).permute({1, 2, 0, 3})
                                    .reshape({c.keyValueHeads, -1, c.headSize});
      at::Tensor scores = at::bmm(folded, keys.transpose(1, 2)).mul_(1.0 / std::sqrt(static_cast<double>(c.headSize)));
      const at::Tensor future = at::arange(keys.size(1), longs).unsqueeze(0) > at::arange(firstPlace, firstPlace + count, longs).unsqueeze(1);
      scores.view({c.keyValueHeads, c.queriesPerKey(), count, -1}).masked_fill_(future, -std::numeric_limits<float>::infinity());
      const at::Tensor attended = at::bmm(scores.softmax(-1), values);
      output.narrow(0, row, count).copy_(attended.view({c.keyValueHeads, c.queriesPerKey(), count, c.headSize}).permute({2, 0, 1, 3})
                                             .reshape({count, c.queryWidth()}));
    }
  }
  return output;
}

}  // namespace rlt::reference
