// Attention over the paged cache: the CUDA kernels on the host, beside the CPU's and softmax in fp64.
#include "native/kernels/cuda/decode_attention_kernels.h"

#include "native/kernels/cpu/vector_kernels.h"
#include "test/native/cuda/host_block.h"

namespace rlt::cpu::portable {
VectorKernels<float> floatTable();
}

using namespace rlt;
using namespace rlt::cuda;

namespace {

struct Sizes {
  int64_t groups, samples, prefix, suffix, heads, keyValueHeads, headSize;
};

/// Keys and values in blocks that lie in no order, with NaN in every place that holds no position.
template <typename T>
class Cache {
 public:
  Cache(const Sizes& sizes) : sizes_(sizes) {
    const auto blocksFor = [](int64_t n) { return (n + kCacheBlock - 1) / kCacheBlock; };
    const int64_t count = sizes.groups * (blocksFor(sizes.prefix) + sizes.samples * blocksFor(longest())) + 1;
    free_.resize(count);
    std::iota(free_.begin(), free_.end(), 0);
    std::shuffle(free_.begin(), free_.end(), std::mt19937(3));
    keys.assign(count * sizes.keyValueHeads * kCacheBlock * sizes.headSize, T(NAN));
    values = keys;
    for (int64_t g = 0; g < sizes.groups; ++g) {
      DecodeGroup group{take(sizes.prefix), {}};
      for (int64_t s = 0; s < sizes.samples; ++s) group.own.push_back(take(sizes.suffix + s % 3));  // of different lengths
      groups.push_back(group);
    }
  }

  int64_t longest() const { return sizes_.suffix + 2; }

  std::vector<T> keys, values;
  std::vector<DecodeGroup> groups;

 private:
  CachedPositions take(int64_t length) {
    std::vector<int32_t>& blocks = tables_.emplace_back(new std::vector<int32_t>).operator*();
    const size_t width = sizes_.headSize;
    for (int64_t position = 0; position < length; ++position) {
      if (position % kCacheBlock == 0) blocks.push_back(free_.back()), free_.pop_back();
      for (int64_t head = 0; head < sizes_.keyValueHeads; ++head) {
        const size_t at = ((blocks.back() * sizes_.keyValueHeads + head) * kCacheBlock + position % kCacheBlock) * width;
        for (size_t i = 0; i < width; ++i) keys[at + i] = T(normal_(random_)), values[at + i] = T(normal_(random_));
      }
    }
    return {blocks.data(), length};
  }

  const Sizes sizes_;
  std::vector<int32_t> free_;
  std::vector<std::unique_ptr<std::vector<int32_t>>> tables_;
  std::mt19937 random_{5};
  std::normal_distribution<float> normal_{0, 1};
};

/// Softmax attention of one query in fp64.
template <typename T>
std::vector<double> exactly(const Cache<T>& cache, const Sizes& s, const T* query, int64_t head, std::initializer_list<CachedPositions> segments) {
  std::vector<double> scores, result(s.headSize);
  std::vector<const T*> rows;
  for (const CachedPositions& segment : segments) {
    for (int64_t p = 0; p < segment.length; ++p) {
      const int64_t at = ((segment.blocks[p / kCacheBlock] * s.keyValueHeads + head) * kCacheBlock + p % kCacheBlock) * s.headSize;
      double score = 0;
      for (int64_t i = 0; i < s.headSize; ++i) score += static_cast<double>(static_cast<float>(query[i])) * static_cast<float>(cache.keys[at + i]);
      scores.push_back(score / std::sqrt(static_cast<double>(s.headSize)));
      rows.push_back(cache.values.data() + at);
    }
  }
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - maximum);
  for (size_t p = 0; p < scores.size(); ++p) {
    for (int64_t i = 0; i < s.headSize; ++i) result[i] += scores[p] / sum * static_cast<double>(static_cast<float>(rows[p][i]));
  }
  return result;
}

/// The same by the CPU's kernel, which takes finite numbers everywhere.
std::vector<float> byTheCpu(const Cache<float>& cache, const Sizes& s, const std::vector<float>& queries, int64_t stride, float scale) {
  std::vector<float> keys = cache.keys, values = cache.values, output(s.groups * s.samples * s.heads * s.headSize);
  for (std::vector<float>* pool : {&keys, &values}) std::replace_if(pool->begin(), pool->end(), [](float v) { return std::isnan(v); }, 0.0f);
  const int64_t queriesPerKey = s.heads / s.keyValueHeads, headStride = kCacheBlock * s.headSize;
  std::vector<float> scratch(queriesPerKey * (s.prefix + cache.longest() + s.headSize));
  int64_t row = 0;
  for (const DecodeGroup& group : cache.groups) {
    std::vector<cpu::CachedSegment> own;
    for (const CachedPositions& positions : group.own) own.push_back({positions.blocks, positions.length});
    for (int64_t head = 0; head < s.keyValueHeads; ++head) {
      const int64_t column = head * queriesPerKey * s.headSize;
      cpu::portable::floatTable().decodeAttention(queries.data() + row * stride + column, stride, output.data() + row * s.heads * s.headSize + column,
                                                  s.heads * s.headSize, s.samples, queriesPerKey, s.headSize, keys.data() + head * headStride,
                                                  values.data() + head * headStride, s.keyValueHeads * headStride, kCacheBlock,
                                                  {group.shared.blocks, group.shared.length}, own.data(), scale, scratch.data());
    }
    row += s.samples;
  }
  return output;
}

template <typename T>
void test(const Sizes& s) {
  const Cache<T> cache(s);
  const int64_t samples = s.groups * s.samples, queriesPerKey = s.heads / s.keyValueHeads, stride = (s.heads + 2 * s.keyValueHeads) * s.headSize + 3;
  const std::vector<T> queries = normals<T>(samples * stride, 9);
  const DecodePlan plan = planDecode(cache.groups, queriesPerKey, s.headSize);
  const DecodeShape shape{s.keyValueHeads, queriesPerKey, s.headSize, samples, plan.partsBefore.back()};
  const float scale = 1 / std::sqrt(static_cast<float>(s.headSize));
  std::vector<float> partials(shape.place(s.keyValueHeads, 0, 0), NAN);
  std::vector<T> output(samples * s.heads * s.headSize, T(NAN));
  run("attention to parts",
      AttendToParts<T>{queries.data(), cache.keys.data(), cache.values.data(), plan.pieces.data(), plan.partsBefore.data(), plan.blocks.data(),
                       partials.data(), static_cast<int64_t>(plan.pieces.size()), stride, scale, shape},
      {memoryOf(partials)});
  run("merging of parts", MergeParts<T>{partials.data(), plan.partsBefore.data(), output.data(), shape}, {memoryOf(output)});

  for (int64_t sample = 0; sample < samples; ++sample) {
    const DecodeGroup& group = cache.groups[sample / s.samples];
    for (int64_t head = 0; head < s.heads; ++head) {
      const std::vector<double> exact =
          exactly(cache, s, queries.data() + sample * stride + head * s.headSize, head / queriesPerKey, {group.shared, group.own[sample % s.samples]});
      for (int64_t i = 0; i < s.headSize; ++i) near("decode attention", static_cast<float>(output[(sample * s.heads + head) * s.headSize + i]), exact[i], toleranceOf<T>());
    }
  }
  if constexpr (std::is_same_v<T, float>) {
    const std::vector<float> expected = byTheCpu(cache, s, queries, stride, scale);
    for (size_t i = 0; i < expected.size(); ++i) near("decode attention beside the CPU's", output[i], expected[i], toleranceOf<float>());
  }

  // The prefix is read for as many lanes together as a block takes, not once a sample.
  int64_t read = 0, least = 0;
  for (const DecodePiece& piece : plan.pieces) read += piece.positions;
  const int64_t lanes = lanesAtOnce(s.headSize), tilesOfGroup = (s.samples * queriesPerKey + lanes - 1) / lanes, tilesOfSample = (queriesPerKey + lanes - 1) / lanes;
  for (const DecodeGroup& group : cache.groups) {
    least += group.shared.length * tilesOfGroup;
    for (const CachedPositions& own : group.own) least += own.length * tilesOfSample;
  }
  if (read != least) fail("keys are read more often than needed");
}

}  // namespace

int main() {
  for (const Sizes& sizes : std::initializer_list<Sizes>{
           {1, 1, 0, 1, 1, 1, 64},      // one head, no prefix, one position
           {2, 3, 19, 5, 6, 2, 64},
           {2, 3, 16, 15, 6, 2, 80},
           {2, 3, 17, 16, 6, 2, 128},
           {1, 2, 33, 1, 5, 5, 64},     // as many keys as queries
           {1, 17, 3, 3, 6, 2, 64},     // more lanes than a block takes
           {2, 3, 300, 2, 3, 1, 64},    // several parts of the prefix
           {1, 2, 5, 530, 2, 1, 80},    // and of a sample
           {1, 2, 256, 256, 2, 1, 64},
           {1, 1, 7, 9, 71, 1, 64},     // more queries to a key than a block takes
           {1, 3, 18, 4, 4, 2, 256},
       }) {
    test<float>(sizes);
    test<Bfloat16>(sizes);
  }
  return finish();
}
