#include "native/kernels/cpu/paired_attention.h"

#include <immintrin.h>

#include <cstring>
#include <limits>

#include "native/kernels/cpu/paired_tiles.h"

namespace rlt::cpu {
namespace {

int64_t longestOwn(const PairedAttention& a) {
  int64_t longest = 0;
  for (int64_t i = 0; i < a.samples; ++i) longest = a.own[i].length > longest ? a.own[i].length : longest;
  return longest;
}

/// A pair of bfloat16 values in every lane.
inline __m512bh broadcastPair(const bf16* pair) {
  int32_t bits;
  __builtin_memcpy(&bits, pair, 4);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(bits));
}

inline __m512bh loadPairs(const bf16* pairs) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(pairs)); }

/// Scores of Count queries against a segment, a block of 16 keys at a time; positions after its end get -infinity.
template <int Count>
void scoreSegment(const PairedAttention& a, const bf16* const* queries, CachedSegment segment, float* const* scores) {
  const __m512 scale = _mm512_set1_ps(a.scale);
  for (int64_t first = 0; first < segment.length; first += kPairedBlock) {
    const bf16* keys = a.keys + segment.blocks[first / kPairedBlock] * a.blockStride;
    __m512 sums[Count];
    for (int q = 0; q < Count; ++q) sums[q] = _mm512_setzero_ps();
    for (int64_t d = 0; d < a.headSize; d += 2) {
      const __m512bh pairs = loadPairs(keys + d * kPairedBlock);
      for (int q = 0; q < Count; ++q) sums[q] = _mm512_dpbf16_ps(sums[q], pairs, broadcastPair(queries[q] + d));
    }
    const int64_t left = segment.length - first;
    const auto valid = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
    const __m512 never = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (int q = 0; q < Count; ++q) _mm512_storeu_ps(scores[q] + first, _mm512_mask_mul_ps(never, valid, sums[q], scale));
  }
}

/// sums[q] += weights[q] times the values of a segment, for Width * 16 dimensions from `dimension`.
template <int Count, int Width>
void addValues(const PairedAttention& a, const bf16* const* weights, CachedSegment segment, int64_t dimension, float* const* sums) {
  __m512 held[Count][Width];
  for (int q = 0; q < Count; ++q) {
    for (int w = 0; w < Width; ++w) held[q][w] = _mm512_loadu_ps(sums[q] + dimension + 16 * w);
  }
  for (int64_t first = 0; first < segment.length; first += kPairedBlock) {
    const bf16* values = a.values + segment.blocks[first / kPairedBlock] * a.blockStride + 2 * dimension;
    const int64_t positions = segment.length - first < kPairedBlock ? segment.length - first : kPairedBlock;
    for (int64_t position = 0; position < positions; position += 2, values += 2 * a.headSize) {
      __m512bh pairs[Width];
      for (int w = 0; w < Width; ++w) pairs[w] = loadPairs(values + 32 * w);
      for (int q = 0; q < Count; ++q) {
        const __m512bh weight = broadcastPair(weights[q] + first + position);
        for (int w = 0; w < Width; ++w) held[q][w] = _mm512_dpbf16_ps(held[q][w], pairs[w], weight);
      }
    }
  }
  for (int q = 0; q < Count; ++q) {
    for (int w = 0; w < Width; ++w) _mm512_storeu_ps(sums[q] + dimension + 16 * w, held[q][w]);
  }
}

template <int Count>
void addAllValues(const PairedAttention& a, const bf16* const* weights, CachedSegment segment, float* const* sums) {
  int64_t dimension = 0;
  for (; dimension + 64 <= a.headSize; dimension += 64) addValues<Count, 4>(a, weights, segment, dimension, sums);
  for (; dimension < a.headSize; dimension += 16) addValues<Count, 1>(a, weights, segment, dimension, sums);
}

/// Calls the widest instance that there are queries for, until none is left.
template <typename Visit>
void inFours(int64_t count, const Visit& visit) {
  int64_t first = 0;
  for (; first + 4 <= count; first += 4) visit.template operator()<4>(first);
  switch (count - first) {
    case 3: return visit.template operator()<3>(first);
    case 2: return visit.template operator()<2>(first);
    case 1: return visit.template operator()<1>(first);
    default: return;
  }
}

/// Softmax of a row in place of its scores, and rounded into `weights`.
void softmax(float* scores, bf16* weights, int64_t length) {
  __m512 maximum = _mm512_loadu_ps(scores);
  for (int64_t i = 16; i < length; i += 16) maximum = _mm512_max_ps(maximum, _mm512_loadu_ps(scores + i));
  vectorKernels<float>().exponentials(scores, scores, length, 1.0f, _mm512_reduce_max_ps(maximum));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < length; i += 16) sum = _mm512_add_ps(sum, _mm512_loadu_ps(scores + i));
  const __m512 inverse = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(sum));
  for (int64_t i = 0; i < length; i += 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_mul_ps(_mm512_loadu_ps(scores + i), inverse));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + i), reinterpret_cast<__m256i>(rounded));
  }
}

}  // namespace

bool pairedAttentionServes(int64_t headSize) { return headSize % 16 == 0 && __builtin_cpu_supports("avx512bf16"); }

int64_t pairedAttentionScratchBytes(const PairedAttention& a) {
  const int64_t length = roundUp(a.shared.length, kPairedBlock) + roundUp(longestOwn(a), kPairedBlock);
  // Scores and sums, weights and queries; whole tiles are read from any row of the last two.
  const int64_t rows = a.samples * a.queriesPerKey;
  return rows * (length + a.headSize) * 4 + (rows + kTileQueries) * (length + a.headSize) * 2;
}

void pairedAttention(const PairedAttention& a, void* scratch) {
  const int64_t count = a.samples * a.queriesPerKey;
  const int64_t sharedLength = roundUp(a.shared.length, kPairedBlock);
  const int64_t length = sharedLength + roundUp(longestOwn(a), kPairedBlock);
  float* const scores = static_cast<float*>(scratch);
  float* const sums = scores + count * length;
  bf16* const weights = reinterpret_cast<bf16*>(sums + count * a.headSize);
  bf16* const packedQueries = weights + (count + kTileQueries) * length;
  const auto query = [&](int64_t q) { return a.queries + q / a.queriesPerKey * a.queryStride + q % a.queriesPerKey * a.headSize; };
  const bool tiles = tilesServe(a.headSize);
  if (tiles) {
    configureAttentionTiles();
    for (int64_t q = 0; q < count; ++q) std::memcpy(packedQueries + q * a.headSize, query(q), a.headSize * sizeof(bf16));
  }

  // Without tiles: calls an instance with pointers to some neighbouring queries' rows.
  const auto score = [&](int64_t from, int64_t number, CachedSegment segment, int64_t column) {
    if (tiles) {
      for (int64_t q = from; q < from + number; q += kTileQueries) {
        const int64_t rows = from + number - q < kTileQueries ? from + number - q : kTileQueries;
        scoreOnTiles(a, packedQueries + q * a.headSize, rows, segment, scores + q * length + column, length);
      }
      return;
    }
    inFours(number, [&]<int Count>(int64_t first) {
      const bf16* queries[Count];
      float* rows[Count];
      for (int i = 0; i < Count; ++i) {
        queries[i] = query(from + first + i);
        rows[i] = scores + (from + first + i) * length + column;
      }
      scoreSegment<Count>(a, queries, segment, rows);
    });
  };
  const auto sum = [&](int64_t from, int64_t number, CachedSegment segment, int64_t column) {
    if (tiles) {
      for (int64_t q = from; q < from + number; q += kTileQueries) {
        const int64_t rows = from + number - q < kTileQueries ? from + number - q : kTileQueries;
        sumOnTiles(a, weights + q * length + column, length, rows, segment, sums + q * a.headSize);
      }
      return;
    }
    inFours(number, [&]<int Count>(int64_t first) {
      const bf16* rows[Count];
      float* to[Count];
      for (int i = 0; i < Count; ++i) {
        rows[i] = weights + (from + first + i) * length + column;
        to[i] = sums + (from + first + i) * a.headSize;
      }
      addAllValues<Count>(a, rows, segment, to);
    });
  };

  score(0, count, a.shared, 0);
  for (int64_t sample = 0; sample < a.samples; ++sample) {
    const int64_t from = sample * a.queriesPerKey;
    score(from, a.queriesPerKey, a.own[sample], sharedLength);
    for (int64_t q = from; q < from + a.queriesPerKey; ++q) {
      for (int64_t i = sharedLength + roundUp(a.own[sample].length, kPairedBlock); i < length; ++i) {
        scores[q * length + i] = -std::numeric_limits<float>::infinity();
      }
    }
  }
  for (int64_t q = 0; q < count; ++q) softmax(scores + q * length, weights + q * length, length);

  for (int64_t i = 0; i < count * a.headSize; ++i) sums[i] = 0;
  sum(0, count, a.shared, 0);
  for (int64_t sample = 0; sample < a.samples; ++sample) sum(sample * a.queriesPerKey, a.queriesPerKey, a.own[sample], sharedLength);
  for (int64_t q = 0; q < count; ++q) {
    bf16* out = a.output + q / a.queriesPerKey * a.outputStride + q % a.queriesPerKey * a.headSize;
    vectorKernels<bf16>().narrow(sums + q * a.headSize, 1.0f, out, a.headSize);
  }
  if (tiles) _tile_release();
}

}  // namespace rlt::cpu
