// The keys and values of sequences being sampled, in blocks of a shared pool (paged attention, Kwon et al. 2023).
//
// A sequence is a chain of two segments: the prefix of its group, whose blocks all samples of the group share and
// nobody copies, and its own. Each starts on a fresh block.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "native/attention/decode_group.h"
#include "native/model/configuration.h"

namespace rlt {

class KeyValueCache;

/// Blocks of the pool that belong together, given back when the last owner lets go.
class CacheSegment {
 public:
  explicit CacheSegment(KeyValueCache& cache) : cache_(cache) {}
  ~CacheSegment();
  CacheSegment(const CacheSegment&) = delete;
  CacheSegment& operator=(const CacheSegment&) = delete;

  /// Takes the blocks for `positions` positions in all, those there are included.
  void reserve(int64_t positions);

  /// Makes room for `count` more positions and returns the first of them.
  int64_t extend(int64_t count);

  int64_t length() const { return length_; }
  const std::vector<int32_t>& blocks() const { return blocks_; }
  CachedPositions positions() const { return {blocks_.data(), length_}; }

 private:
  KeyValueCache& cache_;
  std::vector<int32_t> blocks_;
  int64_t length_ = 0;
};

/// Where rows go in the pool: the same places in every layer, brought to a GPU once.
class CachePlaces {
 public:
  /// `count` positions of a segment, from `first` on.
  void add(const CacheSegment& segment, int64_t first, int64_t count);

 private:
  friend class KeyValueCache;
  std::vector<int64_t> blocks_, within_;
  mutable at::Tensor blocksOnDevice_, withinOnDevice_;
};

class KeyValueCache {
 public:
  static constexpr int64_t kBlockSize = 16;  // positions

  /// A pool of `blocks` blocks for every layer. On a CPU the memory of a block is claimed when it is first taken.
  /// Throws ERR_OUT_OF_MEMORY when it cannot be allocated.
  KeyValueCache(const ModelConfiguration& configuration, int64_t blocks, at::ScalarType dtype, at::Device device);

  static int64_t blocksFor(int64_t positions) { return (positions + kBlockSize - 1) / kBlockSize; }
  static int64_t bytesPerBlock(const ModelConfiguration& configuration, at::ScalarType dtype);

  int64_t freeBlocks() const { return blocks_ - touched_ + static_cast<int64_t>(free_.size()); }

  /// The most blocks that were held at a time.
  int64_t peakBlocks() const { return peak_; }

  /// Copies keys and values, a row [keyValueHeads * headSize] a place; rows may be strided.
  void store(int64_t layer, const CachePlaces& places, const at::Tensor& keys, const at::Tensor& values);

  /// Whether blocks are laid out for kernels/cpu/paired_attention.h.
  bool paired() const { return paired_; }

  /// [blocks, keyValueHeads, kBlockSize, headSize]; if paired(), each head's block is in that order instead.
  const at::Tensor& keys(int64_t layer) const { return keys_[layer]; }
  const at::Tensor& values(int64_t layer) const { return values_[layer]; }

 private:
  friend class CacheSegment;
  int32_t take();
  void giveBack(const std::vector<int32_t>& blocks) { free_.insert(free_.end(), blocks.rbegin(), blocks.rend()); }
  void clearMore();

  void storeRow(int64_t layer, int32_t block, int64_t place, const void* keys, const void* values);

  const ModelConfiguration configuration_;
  bool paired_;
  std::vector<at::Tensor> keys_;
  std::vector<at::Tensor> values_;
  int64_t blocks_;
  int64_t cleared_ = 0;  // blocks that hold finite numbers, from the first on
  int64_t touched_ = 0;  // blocks that were ever taken, from the first on
  int64_t peak_ = 0;
  std::vector<int32_t> free_;  // of those ever taken
};

}  // namespace rlt
