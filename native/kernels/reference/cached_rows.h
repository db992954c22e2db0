#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "native/attention/key_value_cache.h"

namespace rlt::reference {

/// One pool's rows of some segments one after another, [keyValueHeads, positions, headSize] in fp32. The pool's blocks
/// lie in the plain order.
inline at::Tensor cachedRows(const at::Tensor& pool, const std::vector<CachedPositions>& segments) {
  std::vector<at::Tensor> parts;
  for (const CachedPositions& segment : segments) {
    const at::ArrayRef<int32_t> held(segment.blocks, KeyValueCache::blocksFor(segment.length));
    const at::Tensor blocks = at::tensor(held, at::TensorOptions().dtype(at::kInt)).to(pool.device());
    const at::Tensor rows = pool.index_select(0, blocks).transpose(1, 2).reshape({-1, pool.size(1), pool.size(3)});
    parts.push_back(rows.narrow(0, 0, segment.length).to(at::kFloat));
  }
  return at::cat(parts, 0).transpose(0, 1);
}

}  // namespace rlt::reference
