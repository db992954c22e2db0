#include "native/attention/key_value_cache.h"

#include "native/parallel.h"
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <cstring>

#include "native/error.h"
#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/reference/decode_attention.h"

namespace rlt {

CacheSegment::~CacheSegment() { cache_.giveBack(blocks_); }

int64_t CacheSegment::extend(int64_t count) {
  const int64_t first = length_;
  while (static_cast<int64_t>(blocks_.size()) < KeyValueCache::blocksFor(first + count)) blocks_.push_back(cache_.take());
  length_ += count;
  return first;
}

KeyValueCache::KeyValueCache(const ModelConfiguration& configuration, int64_t blocks, at::ScalarType dtype, at::Device device)
    : configuration_(configuration) {
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  for (int64_t layer = 0; layer < configuration.layers; ++layer) {
    for (auto* pool : {&keys_, &values_}) {
      pool->push_back(at::empty({blocks, configuration.keyValueHeads, kBlockSize, configuration.headSize}, options));
    }
  }
  for (int64_t block = blocks; block-- > 0;) free_.push_back(static_cast<int32_t>(block));
}

int64_t KeyValueCache::bytesPerBlock(const ModelConfiguration& c, at::ScalarType dtype) {
  return 2 * c.layers * c.keyValueWidth() * kBlockSize * static_cast<int64_t>(c10::elementSize(dtype));
}

int32_t KeyValueCache::take() {
  if (free_.empty()) throw Error("ERR_OUT_OF_MEMORY", "The key-value cache has no free block left.");
  const int32_t block = free_.back();
  free_.pop_back();
  return block;
}

void KeyValueCache::store(int64_t layer, const CacheSegment& segment, int64_t first, const at::Tensor& keys, const at::Tensor& values) {
  const int64_t heads = configuration_.keyValueHeads, headSize = configuration_.headSize;
  for (int64_t done = 0; done < keys.size(0);) {
    const int64_t position = first + done;
    const int64_t inBlock = position % kBlockSize;
    const int64_t count = std::min(kBlockSize - inBlock, keys.size(0) - done);
    const int32_t block = segment.blocks()[position / kBlockSize];
    const auto copy = [&](const at::Tensor& pool, const at::Tensor& rows) {
      pool.select(0, block).narrow(1, inBlock, count).copy_(rows.narrow(0, done, count).view({count, heads, headSize}).transpose(0, 1));
    };
    copy(keys_[layer], keys);
    copy(values_[layer], values);
    done += count;
  }
}

void KeyValueCache::storeEach(int64_t layer, const std::vector<CacheSegment*>& segments, const std::vector<int64_t>& places,
                              const at::Tensor& keys, const at::Tensor& values) {
  if (!keys.is_cpu()) {
    for (size_t i = 0; i < segments.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      store(layer, *segments[i], places[i], keys.narrow(0, row, 1), values.narrow(0, row, 1));
    }
    return;
  }
  const int64_t heads = configuration_.keyValueHeads;
  const size_t headBytes = configuration_.headSize * keys.element_size();
  const auto copy = [&](const at::Tensor& pool, const at::Tensor& rows) {
    char* const to = static_cast<char*>(pool.data_ptr());
    const char* const from = static_cast<const char*>(rows.const_data_ptr());
    for (size_t i = 0; i < segments.size(); ++i) {
      const int64_t slot = segments[i]->blocks()[places[i] / kBlockSize] * heads * kBlockSize + places[i] % kBlockSize;
      const char* row = from + i * rows.stride(0) * rows.element_size();
      for (int64_t head = 0; head < heads; ++head) {
        std::memcpy(to + (slot + head * kBlockSize) * headBytes, row + head * headBytes, headBytes);
      }
    }
  };
  copy(keys_[layer], keys);
  copy(values_[layer], values);
}

namespace {

at::Tensor decodeAttentionOnCpu(const at::Tensor& queries, const std::vector<DecodeGroup>& groups, const KeyValueCache& cache, int64_t layer,
                                const ModelConfiguration& c) {
  const int64_t samples = queries.size(0);
  at::Tensor output = at::empty({samples, c.queryWidth()}, queries.options());
  const at::Tensor &keys = cache.keys(layer), &values = cache.values(layer);
  const int64_t blockStride = keys.stride(0), headStride = keys.stride(1);
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.headSize));

  // A task is a few samples of one group and one key-value head.
  struct Task {
    const DecodeGroup* group;
    int64_t firstSample, count, row, head;
  };
  constexpr int64_t kSamplesPerTask = 4;
  std::vector<Task> tasks;
  int64_t row = 0;
  for (const DecodeGroup& group : groups) {
    const int64_t size = static_cast<int64_t>(group.own.size());
    for (int64_t head = 0; head < c.keyValueHeads; ++head) {
      for (int64_t first = 0; first < size; first += kSamplesPerTask) {
        tasks.push_back({&group, first, std::min(kSamplesPerTask, size - first), row + first, head});
      }
    }
    row += size;
  }

  cpu::dispatch(queries, [&]<typename T>(T) {
    parallelFor(0, static_cast<int64_t>(tasks.size()), 1, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch;
      std::vector<cpu::CachedSegment> own;
      for (int64_t index = begin; index < end; ++index) {
        const Task& task = tasks[index];
        const CacheSegment& shared = *task.group->shared;
        own.clear();
        int64_t longest = 0;
        for (int64_t i = 0; i < task.count; ++i) {
          const CacheSegment& segment = *task.group->own[task.firstSample + i];
          own.push_back({segment.blocks().data(), segment.length()});
          longest = std::max(longest, shared.length() + segment.length());
        }
        scratch.resize(c.queriesPerKey() * (longest + c.headSize));
        const int64_t column = task.head * c.queriesPerKey() * c.headSize;
        cpu::vectorKernels<T>().decodeAttention(
            cpu::pointer<T>(queries) + task.row * queries.stride(0) + column, queries.stride(0),
            cpu::pointer<T>(output) + task.row * output.stride(0) + column, output.stride(0), task.count, c.queriesPerKey(), c.headSize,
            cpu::pointer<T>(keys) + task.head * headStride, cpu::pointer<T>(values) + task.head * headStride, blockStride,
            KeyValueCache::kBlockSize, {shared.blocks().data(), shared.length()}, own.data(), scale, scratch.data());
      }
    });
  });
  return output;
}

}  // namespace

at::Tensor decodeAttention(const at::Tensor& queries, const std::vector<DecodeGroup>& groups, const KeyValueCache& cache, int64_t layer,
                           const ModelConfiguration& c) {
  return queries.is_cpu() ? decodeAttentionOnCpu(queries, groups, cache, layer, c) : reference::decodeAttention(queries, groups, cache, layer, c);
}

}  // namespace rlt
