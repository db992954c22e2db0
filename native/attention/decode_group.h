#pragma once

#include <cstdint>
#include <vector>

namespace rlt {

/// Some positions of a sequence in the key-value cache, from a block's first on; only to read, and no longer than the
/// blocks are held.
struct CachedPositions {
  const int32_t* blocks = nullptr;
  int64_t length = 0;
};

/// The samples of one group that decode together: their rows in the batch are consecutive.
struct DecodeGroup {
  CachedPositions shared;
  std::vector<CachedPositions> own;  // one a sample, the position being decoded already stored
};

}  // namespace rlt
