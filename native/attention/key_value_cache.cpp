#include "native/attention/key_value_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "native/error.h"
#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cpu/paired_attention.h"

namespace rlt {
namespace {

/// Blocks cleared at a time.
constexpr int64_t kClearedAtOnce = 32;

const void* rowOf(const at::Tensor& rows, int64_t index) {
  return static_cast<const char*>(rows.const_data_ptr()) + index * rows.stride(0) * rows.element_size();
}

}  // namespace

CacheSegment::~CacheSegment() { cache_.giveBack(blocks_); }

void CacheSegment::reserve(int64_t positions) {
  while (static_cast<int64_t>(blocks_.size()) < KeyValueCache::blocksFor(positions)) blocks_.push_back(cache_.take());
}

int64_t CacheSegment::extend(int64_t count) {
  const int64_t first = length_;
  reserve(first + count);
  length_ += count;
  return first;
}

KeyValueCache::KeyValueCache(const ModelConfiguration& configuration, int64_t blocks, at::ScalarType dtype, at::Device device)
    : configuration_(configuration),
      paired_(device.is_cpu() && dtype == at::kBFloat16 && cpu::pairedAttentionServes(configuration.headSize)),
      blocks_(blocks) {
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  for (int64_t layer = 0; layer < configuration.layers; ++layer) {
    for (auto* pool : {&keys_, &values_}) {
      pool->push_back(at::empty({blocks, configuration.keyValueHeads, kBlockSize, configuration.headSize}, options));
    }
  }
}

int64_t KeyValueCache::bytesPerBlock(const ModelConfiguration& c, at::ScalarType dtype) {
  return 2 * c.layers * c.keyValueWidth() * kBlockSize * static_cast<int64_t>(c10::elementSize(dtype));
}

int32_t KeyValueCache::take() {
  if (freeBlocks() == 0) throw Error("ERR_OUT_OF_MEMORY", "The key-value cache has no free block left.");
  peak_ = std::max(peak_, blocks_ - freeBlocks() + 1);
  if (free_.empty()) {
    if (touched_ == cleared_) clearMore();
    return static_cast<int32_t>(touched_++);
  }
  const int32_t block = free_.back();
  free_.pop_back();
  return block;
}

/// What lies behind a sequence's end in its last block is multiplied by a weight of 0 and must be finite.
void KeyValueCache::clearMore() {
  const int64_t count = std::min(kClearedAtOnce, blocks_ - cleared_);
  for (auto* pools : {&keys_, &values_}) {
    for (at::Tensor& pool : *pools) pool.narrow(0, cleared_, count).zero_();
  }
  cleared_ += count;
}

void CachePlaces::add(const CacheSegment& segment, int64_t first, int64_t count) {
  for (int64_t position = first; position < first + count; ++position) {
    blocks_.push_back(segment.blocks()[position / KeyValueCache::kBlockSize]);
    within_.push_back(position % KeyValueCache::kBlockSize);
  }
}

void KeyValueCache::store(int64_t layer, const CachePlaces& places, const at::Tensor& keys, const at::Tensor& values) {
  if (keys.is_cpu()) {
    for (size_t i = 0; i < places.blocks_.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      storeRow(layer, static_cast<int32_t>(places.blocks_[i]), places.within_[i], rowOf(keys, row), rowOf(values, row));
    }
    return;
  }
  if (!places.blocksOnDevice_.defined()) {
    const auto onDevice = [&](const std::vector<int64_t>& numbers) { return at::tensor(numbers, at::TensorOptions().dtype(at::kLong)).to(keys.device()); };
    places.blocksOnDevice_ = onDevice(places.blocks_);
    places.withinOnDevice_ = onDevice(places.within_);
  }
  const auto put = [&](const at::Tensor& pool, const at::Tensor& rows) {
    pool.permute({0, 2, 1, 3}).index_put_({places.blocksOnDevice_, places.withinOnDevice_},
                                          rows.reshape({-1, configuration_.keyValueHeads, configuration_.headSize}));
  };
  put(keys_[layer], keys);
  put(values_[layer], values);
}

/// One position of all heads, in host memory.
void KeyValueCache::storeRow(int64_t layer, int32_t block, int64_t place, const void* keys, const void* values) {
  const int64_t heads = configuration_.keyValueHeads, headSize = configuration_.headSize;
  if (!paired_) {
    const size_t headBytes = headSize * keys_[layer].element_size();
    for (int64_t head = 0; head < heads; ++head) {
      const size_t to = ((block * heads + head) * kBlockSize + place) * headBytes;
      std::memcpy(static_cast<char*>(keys_[layer].data_ptr()) + to, static_cast<const char*>(keys) + head * headBytes, headBytes);
      std::memcpy(static_cast<char*>(values_[layer].data_ptr()) + to, static_cast<const char*>(values) + head * headBytes, headBytes);
    }
    return;
  }
  static_assert(kBlockSize == cpu::kPairedBlock);
  for (int64_t head = 0; head < heads; ++head) {
    const int64_t start = (block * heads + head) * kBlockSize * headSize;
    cpu::bf16* keyBlock = cpu::pointer<cpu::bf16>(keys_[layer]) + start;
    cpu::bf16* valueBlock = cpu::pointer<cpu::bf16>(values_[layer]) + start + place / 2 * 2 * headSize + place % 2;
    const auto* key = static_cast<const cpu::bf16*>(keys) + head * headSize;
    const auto* value = static_cast<const cpu::bf16*>(values) + head * headSize;
    for (int64_t d = 0; d < headSize; ++d) {
      keyBlock[(d / 2 * kBlockSize + place) * 2 + d % 2] = key[d];
      valueBlock[2 * d] = value[d];
    }
  }
}

}  // namespace rlt
