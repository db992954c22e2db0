// Each task takes one key-value head of one sequence (forward) or of one group (backward, where all suffixes add to
// the prefix's gradients), and goes through its queries a chunk at a time: the queries of all heads that share the
// key-value head, one below the other, make one matrix product with the keys.
#include "native/kernels/cpu/group_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>
#include <cstring>

#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cpu/gemm.h"
#include "native/parallel.h"

namespace rlt::cpu {
namespace {

/// Rows of queries (positions x heads that share keys) taken at a time.
constexpr int64_t kQueryRows = 192;

int64_t positionsAtOnce(const ModelConfiguration& c) { return std::max<int64_t>(32, kQueryRows / c.queriesPerKey() / 32 * 32); }

/// One sequence: its own rows, and the prefix rows it also attends to.
struct Sequence {
  Rows shared;
  Rows own;
};

/// Where one key-value head's part of the merged projection lies.
struct Head {
  const bf16* base;
  int64_t stride;
  int64_t queryColumn, keyColumn, valueColumn;

  const bf16* keys(const Rows& rows) const { return base + rows.first * stride + keyColumn; }
  const bf16* values(const Rows& rows) const { return base + rows.first * stride + valueColumn; }
};

Head headOf(const at::Tensor& queryKeyValue, int64_t head, const ModelConfiguration& c) {
  return {pointer<bf16>(queryKeyValue), queryKeyValue.stride(0), head * c.queriesPerKey() * c.headSize,
          c.queryWidth() + head * c.headSize, c.queryWidth() + c.keyValueWidth() + head * c.headSize};
}

/// Some consecutive queries of a sequence.
struct Chunk {
  int64_t first;      // place among the sequence's own rows
  int64_t positions;
  int64_t rows;       // positions x heads
  int64_t sharedKeys;
  int64_t ownKeys;    // up to the chunk's last query
  int64_t keys;

  /// Keys that the query of row r (positions of the first head, then of the second, …) may see.
  int64_t visible(int64_t r) const { return sharedKeys + first + r % positions + 1; }
};

template <typename Visit>
void forEachChunk(const Sequence& sequence, const ModelConfiguration& c, const Visit& visit) {
  const int64_t step = positionsAtOnce(c);
  for (int64_t first = 0; first < sequence.own.count; first += step) {
    const int64_t positions = std::min(step, sequence.own.count - first);
    visit(Chunk{first, positions, positions * c.queriesPerKey(), sequence.shared.count, first + positions, sequence.shared.count + first + positions});
  }
}

/// Copies the heads of a chunk's rows one below the other: [heads x positions, headSize].
void gatherHeads(const bf16* rows, int64_t stride, const Chunk& chunk, const ModelConfiguration& c, bf16* out) {
  for (int64_t head = 0; head < c.queriesPerKey(); ++head) {
    for (int64_t i = 0; i < chunk.positions; ++i, out += c.headSize) std::memcpy(out, rows + i * stride + head * c.headSize, c.headSize * sizeof(bf16));
  }
}

/// a [rows, depth] times the transpose of b [n, depth], into columns of c.
void timesTransposed(const bf16* a, int64_t rows, int64_t depth, const bf16* b, int64_t bStride, int64_t n, float* c, int64_t cStride) {
  Gemm product;
  product.m = rows, product.n = n, product.k = depth;
  product.a = a, product.aStride = depth;
  product.b = b, product.bStride = bStride, product.bTransposed = true;
  product.c = c, product.cStride = cStride, product.output = GemmOutput::float32;
  gemmSerial(product);
}

/// c (+)= a [m, k] b [k, n]; with aTransposed a is [k, m].
void times(const bf16* a, int64_t aStride, bool aTransposed, int64_t m, int64_t k, const bf16* b, int64_t bStride, int64_t n, float* c, bool add) {
  if (k == 0) return;
  Gemm product;
  product.m = m, product.n = n, product.k = k;
  product.a = a, product.aStride = aStride, product.aTransposed = aTransposed;
  product.b = b, product.bStride = bStride;
  product.c = c, product.cStride = n, product.output = add ? GemmOutput::addToFloat32 : GemmOutput::float32;
  gemmSerial(product);
}

void scoreChunk(const Head& head, const Sequence& sequence, const Chunk& chunk, const bf16* queries, int64_t headSize, float* scores) {
  timesTransposed(queries, chunk.rows, headSize, head.keys(sequence.shared), head.stride, chunk.sharedKeys, scores, chunk.keys);
  timesTransposed(queries, chunk.rows, headSize, head.keys(sequence.own), head.stride, chunk.ownKeys, scores + chunk.sharedKeys, chunk.keys);
}

void attend(const Head& head, const Sequence& sequence, int64_t headIndex, const ModelConfiguration& c, AttentionOutput& output) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.headSize));
  const auto& kernels = vectorKernels<bf16>();
  std::vector<bf16> queries, weights;  // the weights are probabilities but for a factor a row
  std::vector<float> scores, inverseSums, sums;
  forEachChunk(sequence, c, [&](const Chunk& chunk) {
    queries.resize(chunk.rows * c.headSize);
    scores.resize(chunk.rows * chunk.keys);
    weights.resize(chunk.rows * chunk.keys);
    inverseSums.resize(chunk.rows);
    sums.resize(chunk.rows * c.headSize);
    const int64_t firstRow = sequence.own.first + chunk.first;
    gatherHeads(head.base + firstRow * head.stride + head.queryColumn, head.stride, chunk, c, queries.data());
    scoreChunk(head, sequence, chunk, queries.data(), c.headSize, scores.data());

    float* logNormaliser = pointer<float>(output.logNormaliser) + firstRow * c.heads + headIndex * c.queriesPerKey();
    for (int64_t r = 0; r < chunk.rows; ++r) {
      const LogitsSummary row = kernels.softmaxRow(scores.data() + r * chunk.keys, chunk.visible(r), chunk.keys, scale, weights.data() + r * chunk.keys);
      logNormaliser[r % chunk.positions * c.heads + r / chunk.positions] = row.maximum + static_cast<float>(std::log(row.sum));
      inverseSums[r] = static_cast<float>(1.0 / row.sum);
    }
    times(weights.data(), chunk.keys, false, chunk.rows, chunk.sharedKeys, head.values(sequence.shared), head.stride, c.headSize, sums.data(), false);
    times(weights.data() + chunk.sharedKeys, chunk.keys, false, chunk.rows, chunk.ownKeys, head.values(sequence.own), head.stride, c.headSize,
          sums.data(), chunk.sharedKeys > 0);
    bf16* values = pointer<bf16>(output.values) + firstRow * c.queryWidth() + head.queryColumn;
    for (int64_t r = 0; r < chunk.rows; ++r) {
      kernels.narrow(sums.data() + r * c.headSize, inverseSums[r], values + r % chunk.positions * c.queryWidth() + r / chunk.positions * c.headSize, c.headSize);
    }
  });
}

/// Gradients of the keys and values of some rows, [rows, headSize] each, summed over chunks in fp32.
struct KeyValueGradient {
  std::vector<float> keys, values;

  void clear(int64_t rows, int64_t headSize) {
    keys.assign(rows * headSize, 0.0f);
    values.assign(rows * headSize, 0.0f);
  }

  void store(const Rows& rows, int64_t headSize, const Head& head, bf16* gradient) const {
    for (int64_t i = 0; i < rows.count; ++i) {
      bf16* row = gradient + (rows.first + i) * head.stride;
      vectorKernels<bf16>().narrow(keys.data() + i * headSize, 1.0f, row + head.keyColumn, headSize);
      vectorKernels<bf16>().narrow(values.data() + i * headSize, 1.0f, row + head.valueColumn, headSize);
    }
  }
};

/// What the backward pass reads besides the projection.
struct BackwardInput {
  const bf16* gradient;       // of the attention's output
  const bf16* values;         // the attention's output
  const float* logNormaliser;
  int64_t width;              // of a row of the first two
};

void attendBackward(const Head& head, const Sequence& sequence, int64_t headIndex, const ModelConfiguration& c, const BackwardInput& input,
                    bf16* gradient, KeyValueGradient& shared, KeyValueGradient& own) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.headSize));
  const auto& kernels = vectorKernels<bf16>();
  std::vector<bf16> queries, dOutput, probabilities, dScores;
  std::vector<float> scores, dProbabilities, sums;
  own.clear(sequence.own.count, c.headSize);
  forEachChunk(sequence, c, [&](const Chunk& chunk) {
    for (auto* buffer : {&queries, &dOutput}) buffer->resize(chunk.rows * c.headSize);
    for (auto* buffer : {&probabilities, &dScores}) buffer->resize(chunk.rows * chunk.keys);
    for (auto* buffer : {&scores, &dProbabilities}) buffer->resize(chunk.rows * chunk.keys);
    sums.resize(chunk.rows * c.headSize);
    const int64_t firstRow = sequence.own.first + chunk.first;
    const int64_t outputPlace = firstRow * input.width + head.queryColumn;
    gatherHeads(head.base + firstRow * head.stride + head.queryColumn, head.stride, chunk, c, queries.data());
    gatherHeads(input.gradient + outputPlace, input.width, chunk, c, dOutput.data());
    scoreChunk(head, sequence, chunk, queries.data(), c.headSize, scores.data());
    timesTransposed(dOutput.data(), chunk.rows, c.headSize, head.values(sequence.shared), head.stride, chunk.sharedKeys, dProbabilities.data(), chunk.keys);
    timesTransposed(dOutput.data(), chunk.rows, c.headSize, head.values(sequence.own), head.stride, chunk.ownKeys,
                    dProbabilities.data() + chunk.sharedKeys, chunk.keys);

    for (int64_t r = 0; r < chunk.rows; ++r) {
      const int64_t position = r % chunk.positions, inGroup = r / chunk.positions;
      const float delta = kernels.dot(dOutput.data() + r * c.headSize, input.values + outputPlace + position * input.width + inGroup * c.headSize, c.headSize);
      const float logNormaliser = input.logNormaliser[(firstRow + position) * c.heads + headIndex * c.queriesPerKey() + inGroup];
      kernels.softmaxRowBackward(scores.data() + r * chunk.keys, dProbabilities.data() + r * chunk.keys, chunk.visible(r), chunk.keys, scale,
                                 logNormaliser, delta, probabilities.data() + r * chunk.keys, dScores.data() + r * chunk.keys);
    }

    times(dScores.data(), chunk.keys, false, chunk.rows, chunk.sharedKeys, head.keys(sequence.shared), head.stride, c.headSize, sums.data(), false);
    times(dScores.data() + chunk.sharedKeys, chunk.keys, false, chunk.rows, chunk.ownKeys, head.keys(sequence.own), head.stride, c.headSize,
          sums.data(), chunk.sharedKeys > 0);
    bf16* dQueries = gradient + firstRow * head.stride + head.queryColumn;
    for (int64_t r = 0; r < chunk.rows; ++r) {
      kernels.narrow(sums.data() + r * c.headSize, 1.0f, dQueries + r % chunk.positions * head.stride + r / chunk.positions * c.headSize, c.headSize);
    }

    const auto addTransposed = [&](const std::vector<bf16>& weights, int64_t column, int64_t keys, const std::vector<bf16>& rows, float* sum) {
      if (keys > 0) times(weights.data() + column, chunk.keys, true, keys, chunk.rows, rows.data(), c.headSize, c.headSize, sum, true);
    };
    addTransposed(dScores, 0, chunk.sharedKeys, queries, shared.keys.data());
    addTransposed(dScores, chunk.sharedKeys, chunk.ownKeys, queries, own.keys.data());
    addTransposed(probabilities, 0, chunk.sharedKeys, dOutput, shared.values.data());
    addTransposed(probabilities, chunk.sharedKeys, chunk.ownKeys, dOutput, own.values.data());
  });
}

}  // namespace

AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& c) {
  AttentionOutput output{at::empty({packed.rows(), c.queryWidth()}, queryKeyValue.options()),
                         at::empty({packed.rows(), c.heads}, queryKeyValue.options().dtype(at::kFloat))};
  std::vector<Sequence> sequences;
  for (const GroupRows& group : packed.groups) {
    sequences.push_back({{0, 0}, group.prefix});
    for (const Rows& suffix : group.suffixes) sequences.push_back({group.prefix, suffix});
  }
  parallelFor(0, static_cast<int64_t>(sequences.size()) * c.keyValueHeads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task % c.keyValueHeads;
      attend(headOf(queryKeyValue, head, c), sequences[task / c.keyValueHeads], head, c, output);
    }
  });
  return output;
}

at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& c) {
  at::Tensor result = at::empty_like(queryKeyValue);
  const at::Tensor dense = gradient.contiguous();
  const BackwardInput input{pointer<bf16>(dense), pointer<bf16>(output.values), pointer<float>(output.logNormaliser), c.queryWidth()};
  parallelFor(0, static_cast<int64_t>(packed.groups.size()) * c.keyValueHeads, 1, [&](int64_t begin, int64_t end) {
    KeyValueGradient prefix, own, none;
    for (int64_t task = begin; task < end; ++task) {
      const GroupRows& group = packed.groups[task / c.keyValueHeads];
      const int64_t headIndex = task % c.keyValueHeads;
      const Head head = headOf(queryKeyValue, headIndex, c);
      bf16* to = pointer<bf16>(result);
      attendBackward(head, {{0, 0}, group.prefix}, headIndex, c, input, to, none, prefix);
      for (const Rows& suffix : group.suffixes) {
        attendBackward(head, {group.prefix, suffix}, headIndex, c, input, to, prefix, own);
        own.store(suffix, c.headSize, head, to);
      }
      prefix.store(group.prefix, c.headSize, head, to);
    }
  });
  return result;
}

}  // namespace rlt::cpu
