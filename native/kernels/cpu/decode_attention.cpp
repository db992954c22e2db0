#include "native/kernels/cpu/decode_attention.h"

#include <ATen/ops/empty.h>

#include <cmath>

#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cpu/paired_attention.h"
#include "native/kernels/cpu/scratch.h"
#include "native/parallel.h"

namespace rlt::cpu {
namespace {

thread_local Scratch scratch;

struct Task {
  const DecodeGroup* group;
  int64_t firstSample;
  int64_t samples;
  int64_t row;  // of the first sample, in the batch
  int64_t head;
};

/// Samples of a group share the reading of its prefix; a few of them at a time leave enough tasks for all threads.
constexpr int64_t kSamplesPerTask = 8;

std::vector<Task> divide(const std::vector<DecodeGroup>& groups, int64_t heads) {
  std::vector<Task> tasks;
  int64_t row = 0;
  for (const DecodeGroup& group : groups) {
    const auto size = static_cast<int64_t>(group.own.size());
    for (int64_t first = 0; first < size; first += kSamplesPerTask) {
      for (int64_t head = 0; head < heads; ++head) tasks.push_back({&group, first, std::min(kSamplesPerTask, size - first), row + first, head});
    }
    row += size;
  }
  return tasks;
}

CachedSegment view(const CachedPositions& positions) { return {positions.blocks, positions.length}; }

}  // namespace

#ifndef __x86_64__
bool pairedAttentionServes(int64_t) { return false; }
int64_t pairedAttentionScratchBytes(const PairedAttention&) { return 0; }
void pairedAttention(const PairedAttention&, void*) {}
#endif

at::Tensor decodeAttention(const at::Tensor& queries, const std::vector<DecodeGroup>& groups, const KeyValueCache& cache, int64_t layer,
                           const ModelConfiguration& c) {
  at::Tensor output = at::empty({queries.size(0), c.queryWidth()}, queries.options());
  const at::Tensor &keys = cache.keys(layer), &values = cache.values(layer);
  const int64_t blockStride = keys.stride(0), headStride = keys.stride(1);
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.headSize));
  const std::vector<Task> tasks = divide(groups, c.keyValueHeads);

  parallelFor(0, static_cast<int64_t>(tasks.size()), 1, [&](int64_t begin, int64_t end) {
    std::vector<CachedSegment> own;
    for (int64_t index = begin; index < end; ++index) {
      const Task& task = tasks[index];
      const CachedSegment shared = view(task.group->shared);
      own.clear();
      int64_t longest = 0;
      for (int64_t i = 0; i < task.samples; ++i) {
        own.push_back(view(task.group->own[task.firstSample + i]));
        longest = std::max(longest, own.back().length);
      }
      const int64_t column = task.head * c.queriesPerKey() * c.headSize;
      dispatch(queries, [&]<typename T>(T) {
        const T* query = pointer<T>(queries) + task.row * queries.stride(0) + column;
        T* out = pointer<T>(output) + task.row * output.stride(0) + column;
        const T* headKeys = pointer<T>(keys) + task.head * headStride;
        const T* headValues = pointer<T>(values) + task.head * headStride;
        if constexpr (std::is_same_v<T, bf16>) {
          if (cache.paired()) {
            const PairedAttention attention{query,     queries.stride(0), out,         output.stride(0), task.samples, c.queriesPerKey(), c.headSize,
                                            headKeys,  headValues,        blockStride, shared,           own.data(),   scale};
            return pairedAttention(attention, scratch.atLeast(pairedAttentionScratchBytes(attention)));
          }
        }
        const int64_t floats = c.queriesPerKey() * (shared.length + longest + c.headSize);
        vectorKernels<T>().decodeAttention(query, queries.stride(0), out, output.stride(0), task.samples, c.queriesPerKey(), c.headSize, headKeys,
                                           headValues, blockStride, KeyValueCache::kBlockSize, shared, own.data(), scale,
                                           static_cast<float*>(scratch.atLeast(floats * static_cast<int64_t>(sizeof(float)))));
      });
    }
  });
  return output;
}

}  // namespace rlt::cpu
