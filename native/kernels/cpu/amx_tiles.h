// What products on AMX tiles share: tile sizes, transposition, results to memory. Included by .avx512.cpp files alone, in
// an unnamed namespace, so that no code compiled for wide registers is ever linked for everybody.
#pragma once

#include <immintrin.h>

#include "native/kernels/cpu/amx_gemm.h"

namespace rlt::cpu {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileDepth = 32;                          // bfloat16 values along k
constexpr int64_t kTileElements = kTileRows * kTileDepth;   // 1 KB
constexpr int64_t kBlock = 32;                              // rows and columns of a block of results

constexpr int64_t roundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

inline __mmask32 firstOf(int64_t count) { return count >= 32 ? 0xffffffffu : (count <= 0 ? 0u : (1u << count) - 1u); }

/// Transposes a 16 x 16 matrix of 32-bit values held in registers.
inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

inline __m512 widen(__m256i values) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16)); }

/// Brings row `i` of a block of sums, at (row, column) of the result, to where and what it has to be.
inline void storeRow(const Gemm& g, const float* block, int64_t i, int64_t row, int64_t column, int64_t columns) {
  const float* sums = block + i * kBlock;
  if (g.output == GemmOutput::bfloat16 && !g.bias && !g.addend && columns == kBlock) {
    const __m512bh values = _mm512_cvtne2ps_pbh(_mm512_load_ps(sums + 16), _mm512_load_ps(sums));
    _mm512_storeu_si512(static_cast<bf16*>(g.c) + (row + i) * g.cStride + column, reinterpret_cast<__m512i>(values));
    return;
  }
  for (int64_t half = 0; half < kBlock; half += 16) {
    const auto mask = static_cast<__mmask16>(firstOf(columns - half));
    if (!mask) return;
    const int64_t place = (row + i) * g.cStride + column + half;
    __m512 value = _mm512_load_ps(sums + half);
    if (g.bias) value = _mm512_add_ps(value, widen(_mm256_maskz_loadu_epi16(mask, g.bias + column + half)));
    if (g.addend) value = _mm512_add_ps(value, widen(_mm256_maskz_loadu_epi16(mask, g.addend + place)));
    if (g.output == GemmOutput::bfloat16) {
      _mm256_mask_storeu_epi16(static_cast<bf16*>(g.c) + place, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
    } else {
      float* to = static_cast<float*>(g.c) + place;
      if (g.output == GemmOutput::addToFloat32) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, to));
      _mm512_mask_storeu_ps(to, mask, value);
    }
  }
}

struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t bytesPerRow[16] = {};
  uint8_t rows[16] = {};
};

/// All eight tiles at their full size, as every product here has them.
inline void configureTiles() {
  TileConfiguration configuration;
  for (int tile = 0; tile < 8; ++tile) {
    configuration.bytesPerRow[tile] = 64;
    configuration.rows[tile] = kTileRows;
  }
  _tile_loadconfig(&configuration);
}

}  // namespace
}  // namespace rlt::cpu
