// Scores and sums of decode attention on AMX tiles: the layouts of paired_attention.h are what tiles want on their
// right. Included by .avx512.cpp files alone, in an unnamed namespace: see amx_tiles.h.
//
// A row's result depends on nothing but its query and its segment, so it is the same whatever is decoded beside it.
#pragma once

#include <immintrin.h>

#include <limits>

#include "native/kernels/cpu/amx_tiles.h"
#include "native/kernels/cpu/paired_attention.h"

namespace rlt::cpu {
namespace {

constexpr int64_t kTileQueries = 16;
constexpr int64_t kSumWidth = 64;  // dimensions that are summed at a time, in four tiles

inline bool tilesServe(int64_t headSize) { return headSize % kTileDepth == 0 && amxAvailable(); }

/// Tiles 0 to 3: results. 4 and 5: queries, and keys of 32 dimensions. 6 and 7: weights, and values of a block.
inline void configureAttentionTiles() {
  TileConfiguration configuration;
  for (int tile = 0; tile < 8; ++tile) {
    configuration.bytesPerRow[tile] = tile == 6 ? kPairedBlock * sizeof(bf16) : 64;
    configuration.rows[tile] = tile == 7 ? kPairedBlock / 2 : 16;
  }
  _tile_loadconfig(&configuration);
}

/// Scores of `count` <= 16 queries ([16, headSize], dense) against a segment; positions after its end, up to a whole
/// block, get -infinity.
inline void scoreOnTiles(const PairedAttention& a, const bf16* queries, int64_t count, CachedSegment segment, float* scores, int64_t scoreStride) {
  alignas(64) float block[4][kTileQueries * kPairedBlock];
  const int64_t queryBytes = a.headSize * static_cast<int64_t>(sizeof(bf16));
  const int64_t blocks = (segment.length + kPairedBlock - 1) / kPairedBlock;
  const __m512 scale = _mm512_set1_ps(a.scale), never = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (int64_t first = 0; first < blocks; first += 4) {
    // Four blocks at a time, so that no product waits for the one before it.
    const int64_t last = blocks - 1;
    const auto keys = [&](int64_t i) { return a.keys + segment.blocks[first + i < last ? first + i : last] * a.blockStride; };
    const bf16 *keys0 = keys(0), *keys1 = keys(1), *keys2 = keys(2), *keys3 = keys(3);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t d = 0; d < a.headSize; d += kTileDepth) {
      _tile_loadd(4, queries + d, queryBytes);
      _tile_loadd(5, keys0 + d * kPairedBlock, 64);
      _tile_dpbf16ps(0, 4, 5);
      _tile_loadd(5, keys1 + d * kPairedBlock, 64);
      _tile_dpbf16ps(1, 4, 5);
      _tile_loadd(5, keys2 + d * kPairedBlock, 64);
      _tile_dpbf16ps(2, 4, 5);
      _tile_loadd(5, keys3 + d * kPairedBlock, 64);
      _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, block[0], 64);
    _tile_stored(1, block[1], 64);
    _tile_stored(2, block[2], 64);
    _tile_stored(3, block[3], 64);
    for (int64_t i = 0; i < 4 && first + i < blocks; ++i) {
      const int64_t position = (first + i) * kPairedBlock, left = segment.length - position;
      const auto valid = static_cast<__mmask16>(left >= kPairedBlock ? 0xffff : (1 << left) - 1);
      for (int64_t q = 0; q < count; ++q) {
        const __m512 values = _mm512_load_ps(block[i] + q * kPairedBlock);
        _mm512_storeu_ps(scores + q * scoreStride + position, _mm512_mask_mul_ps(never, valid, values, scale));
      }
    }
  }
}

/// sums[q] += weights[q] times the values of a segment, for `count` <= 16 queries. `weights` has 16 rows that may be
/// read; those of positions after the segment's end are 0.
inline void sumOnTiles(const PairedAttention& a, const bf16* weights, int64_t weightStride, int64_t count, CachedSegment segment, float* sums) {
  alignas(64) float block[kTileQueries * kSumWidth];
  const int64_t weightBytes = weightStride * static_cast<int64_t>(sizeof(bf16)), blockBytes = kSumWidth * static_cast<int64_t>(sizeof(float));
  const int64_t valueBytes = 2 * a.headSize * static_cast<int64_t>(sizeof(bf16));
  const int64_t blocks = (segment.length + kPairedBlock - 1) / kPairedBlock;
  for (int64_t dimension = 0; dimension < a.headSize; dimension += kSumWidth) {
    const bool whole = dimension + kSumWidth <= a.headSize;  // else half of it: head sizes are multiples of 32
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = 0; i < blocks; ++i) {
      const bf16* values = a.values + segment.blocks[i] * a.blockStride + 2 * dimension;
      _tile_loadd(6, weights + i * kPairedBlock, weightBytes);
      _tile_loadd(7, values, valueBytes);
      _tile_dpbf16ps(0, 6, 7);
      _tile_loadd(7, values + 32, valueBytes);
      _tile_dpbf16ps(1, 6, 7);
      if (!whole) continue;
      _tile_loadd(7, values + 64, valueBytes);
      _tile_dpbf16ps(2, 6, 7);
      _tile_loadd(7, values + 96, valueBytes);
      _tile_dpbf16ps(3, 6, 7);
    }
    _tile_stored(0, block, blockBytes);
    _tile_stored(1, block + 16, blockBytes);
    _tile_stored(2, block + 32, blockBytes);
    _tile_stored(3, block + 48, blockBytes);
    for (int64_t q = 0; q < count; ++q) {
      for (int64_t d = 0; d < (whole ? kSumWidth : kSumWidth / 2); d += 16) {
        float* to = sums + q * a.headSize + dimension + d;
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_load_ps(block + q * kSumWidth + d)));
      }
    }
  }
}

}  // namespace
}  // namespace rlt::cpu
