// Products of few rows with a weight matrix, as in decoding: bounded by how fast the weights come from memory.
//
// The weights go into tiles as they lie, as the left factor; the few rows are packed as the right one, and blocks of
// results are transposed on their way out. The sums over k are those of gemmPart(), in the same order.
#include <cstring>

#include "native/kernels/cpu/amx_gemm.h"
#include "native/kernels/cpu/amx_tiles.h"

namespace rlt::cpu {
namespace {

constexpr int64_t kMostRows = 64;

/// Rows [first, first + 16) of a x depth [k0, k0 + 32): pairs along k side by side, a column a row.
void packTile(const Gemm& g, int64_t first, int64_t k0, bf16* tile) {
  __m512i rows[16];
  for (int64_t i = 0; i < 16; ++i) {
    rows[i] = first + i < g.m ? _mm512_loadu_si512(g.a + (first + i) * g.aStride + k0) : _mm512_setzero_si512();
  }
  transpose(rows);
  for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(tile + i * kTileDepth, rows[i]);
}

/// 32 weight rows x 32 (or 16) rows of a into `c`, [32 weight rows][32]. kAhead weight rows from `next` on are asked for
/// on the way: the processor does not foresee 32 rows at once.
template <bool kWide, int64_t kAhead>
void multiply(const bf16* weights, int64_t stride, const bf16* next, const bf16* packed, int64_t tilesAStep, int64_t steps, float* c) {
  const int64_t bytes = stride * static_cast<int64_t>(sizeof(bf16));
  const bf16* lower = weights + kTileRows * stride;
  _tile_zero(0);
  _tile_zero(2);
  if constexpr (kWide) {
    _tile_zero(1);
    _tile_zero(3);
  }
  for (int64_t step = 0; step < steps; ++step, packed += tilesAStep * kTileElements) {
    for (int64_t row = 0; row < kAhead; ++row) _mm_prefetch(next + row * stride + step * kTileDepth, _MM_HINT_T1);
    _tile_loadd(4, weights + step * kTileDepth, bytes);
    _tile_loadd(6, packed, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, lower + step * kTileDepth, bytes);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kWide) {
      _tile_loadd(7, packed + kTileElements, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, kBlock * sizeof(float));
  _tile_stored(2, c + kTileRows * kBlock, kBlock * sizeof(float));
  if constexpr (kWide) {
    _tile_stored(1, c + kTileRows, kBlock * sizeof(float));
    _tile_stored(3, c + kTileRows * kBlock + kTileRows, kBlock * sizeof(float));
  }
}

/// [32 weight rows][32] to [32][32 weight rows], as much of it as is filled.
void transposeBlock(const float* c, bool wide, float* turned) {
  for (int64_t half = 0; half < (wide ? 2 : 1); ++half) {
    for (int64_t lower = 0; lower < 2; ++lower) {
      __m512i rows[16];
      for (int64_t i = 0; i < 16; ++i) rows[i] = _mm512_load_si512(c + (lower * 16 + i) * kBlock + half * 16);
      transpose(rows);
      for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(turned + (half * 16 + i) * kBlock + lower * 16, rows[i]);
    }
  }
}

int64_t tilesAcross(const Gemm& g) { return g.m <= kTileRows ? 1 : roundUp(g.m, kBlock) / kTileRows; }

}  // namespace

int64_t fewRowsColumns(const Gemm& g) {
  const bool serves = g.m <= kMostRows && g.bTransposed && !g.aTransposed && g.k % kTileDepth == 0;
  return serves ? g.n / kBlock * kBlock : 0;
}

int64_t fewRowsScratchBytes(const Gemm& g) {
  return tilesAcross(g) * kTileRows * g.k * static_cast<int64_t>(sizeof(bf16)) + 2 * kBlock * kBlock * static_cast<int64_t>(sizeof(float));
}

void gemmFewRows(const Gemm& g, int64_t firstColumn, int64_t lastColumn, void* scratch) {
  configureTiles();
  float* const block = static_cast<float*>(scratch);
  float* const turned = block + kBlock * kBlock;
  bf16* const packed = reinterpret_cast<bf16*>(turned + kBlock * kBlock);

  const int64_t steps = g.k / kTileDepth, across = tilesAcross(g);
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t tile = 0; tile < across; ++tile) packTile(g, tile * kTileRows, step * kTileDepth, packed + (step * across + tile) * kTileElements);
  }
  const bool wide = g.m > kTileRows;
  const auto product = !wide ? multiply<false, kBlock> : g.m <= kBlock ? multiply<true, kBlock> : multiply<true, kBlock / 2>;
  for (int64_t column = firstColumn; column < lastColumn; column += kBlock) {
    const bf16* weights = g.b + column * g.bStride;
    const bf16* next = column + kBlock < lastColumn ? weights + kBlock * g.bStride : weights;
    for (int64_t row = 0; row < g.m; row += kBlock, next += kBlock / 2 * g.bStride) {
      const int64_t rows = g.m - row < kBlock ? g.m - row : kBlock;
      product(weights, g.bStride, next, packed + row / kTileRows * kTileElements, across, steps, block);
      transposeBlock(block, wide, turned);
      for (int64_t i = 0; i < rows; ++i) storeRow(g, turned, i, row, column, kBlock);
    }
  }
  _tile_release();
}

}  // namespace rlt::cpu
