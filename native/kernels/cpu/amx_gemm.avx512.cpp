// The product is made of blocks of 32 x 32 results: four accumulator tiles, two tiles of a, two of b, so that four
// tile products follow four tile loads. b is brought into the tiles' own order (pairs along k side by side) a
// superblock of columns at a time, which stays in the second-level cache while all rows pass by; a is used where it
// lies unless its rows are not whole tiles, a panel at a time that stays in the first-level cache while all columns pass
// by. Sums over several panels are kept in fp32: they are the same as without panels.
#include "native/kernels/cpu/amx_gemm.h"

#include <cstring>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "native/kernels/cpu/amx_tiles.h"

namespace rlt::cpu {
namespace {

constexpr int64_t kPackedBytes = 900 << 10;   // of b, at a time
constexpr int64_t kAccumulatedDepth = 768;    // k taken at a time when adding to c
constexpr int64_t kPanelSteps = 12;           // tiles of depth, of 32 rows of a, that stay in the first-level cache

int64_t depthAtOnce(const Gemm& gemm) {
  return gemm.output == GemmOutput::addToFloat32 && gemm.k > kAccumulatedDepth ? kAccumulatedDepth : gemm.k;
}

/// Two neighbouring rows (along k) of 16 columns, interleaved: 16 pairs. Rows and columns outside are zero.
inline __m512i pairRows(const bf16* matrix, int64_t stride, int64_t row, int64_t rows, __mmask16 columns) {
  const auto load = [&](int64_t r) {
    return r < rows ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, matrix + r * stride)) : _mm512_setzero_si512();
  };
  return _mm512_or_si512(load(row), _mm512_slli_epi32(load(row + 1), 16));
}

/// b's columns [first, first + 16) x depth [k0, k0 + 32) as one tile.
inline void packTileOfB(const Gemm& g, int64_t first, int64_t k0, int64_t kEnd, bf16* tile) {
  if (g.bTransposed) {
    const __mmask32 depth = firstOf(kEnd - k0);
    __m512i rows[16];
    for (int64_t i = 0; i < 16; ++i) {
      const bf16* row = g.b + (first + i) * g.bStride + k0;
      rows[i] = first + i < g.n ? _mm512_maskz_loadu_epi16(depth, row) : _mm512_setzero_si512();
      // The processor does not foresee sixteen rows at once: ask for the next block's now.
      if (first + i + kBlock < g.n) _mm_prefetch(row + kBlock * g.bStride, _MM_HINT_T0);
    }
    transpose(rows);
    for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(tile + i * kTileDepth, rows[i]);
  } else {
    const auto columns = static_cast<__mmask16>(firstOf(g.n - first));
    for (int64_t pair = 0; pair < 16; ++pair) {
      _mm512_store_si512(tile + pair * kTileDepth, pairRows(g.b + first, g.bStride, k0 + 2 * pair, kEnd, columns));
    }
  }
}

/// Rows [first, first + 32) of a as [32, depth] with zeros beyond its ends.
void packRowsOfA(const Gemm& g, int64_t first, int64_t lastRow, int64_t kBegin, int64_t kEnd, bf16* rows, int64_t stride) {
  if (!g.aTransposed) {
    for (int64_t i = 0; i < kBlock; ++i) {
      const int64_t valid = first + i < lastRow ? kEnd - kBegin : 0;
      if (valid > 0) std::memcpy(rows + i * stride, g.a + (first + i) * g.aStride + kBegin, valid * sizeof(bf16));
      std::memset(static_cast<void*>(rows + i * stride + valid), 0, (stride - valid) * sizeof(bf16));
    }
    return;
  }
  for (int64_t half = 0; half < kBlock; half += 16) {
    const auto columns = static_cast<__mmask16>(firstOf(lastRow - first - half));
    for (int64_t k0 = kBegin; k0 < kEnd; k0 += kTileDepth) {
      __m512i pairs[16];
      for (int64_t pair = 0; pair < 16; ++pair) pairs[pair] = pairRows(g.a + first + half, g.aStride, k0 + 2 * pair, kEnd, columns);
      transpose(pairs);
      for (int64_t i = 0; i < 16; ++i) _mm512_storeu_si512(rows + (half + i) * stride + k0 - kBegin, pairs[i]);
    }
  }
}

/// A block of results that is summed up but not yet in c. Its rows are brought there while the next block is being
/// multiplied: the tiles' unit is busy then, the vector units are not.
class FinishedBlock {
 public:
  explicit FinishedBlock(const Gemm& gemm) : gemm_(gemm) {}

  void replace(const float* sums, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    sums_ = sums, row_ = row, rows_ = rows, column_ = column, columns_ = columns, stored_ = 0;
  }

  void store(int64_t count) {
    for (const int64_t end = stored_ + count < rows_ ? stored_ + count : rows_; stored_ < end; ++stored_) {
      storeRow(gemm_, sums_, stored_, row_, column_, columns_);
    }
  }

 private:
  const Gemm& gemm_;
  const float* sums_ = nullptr;
  int64_t row_ = 0, rows_ = 0, column_ = 0, columns_ = 0, stored_ = 0;
};

/// Adds 32 x 32 (or, with fewer rows, 16 x 32) results over `steps` tiles of depth to `sums`, row-major with 32 columns;
/// the first time there is nothing to add to.
template <bool kTwoHalves>
inline void multiplyBlock(const bf16* a, int64_t aStride, const bf16* packed, int64_t steps, bool first, float* sums, FinishedBlock& finished) {
  const int64_t aBytes = aStride * static_cast<int64_t>(sizeof(bf16)), sumBytes = kBlock * static_cast<int64_t>(sizeof(float));
  const bf16* lower = a + kTileRows * aStride;
  float* lowerSums = sums + kTileRows * kBlock;
  const int64_t storedEachStep = (kBlock + steps - 1) / steps;
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kTwoHalves) {
      _tile_zero(2);
      _tile_zero(3);
    }
  } else {
    _tile_loadd(0, sums, sumBytes);
    _tile_loadd(1, sums + kTileRows, sumBytes);
    if constexpr (kTwoHalves) {
      _tile_loadd(2, lowerSums, sumBytes);
      _tile_loadd(3, lowerSums + kTileRows, sumBytes);
    }
  }
  for (int64_t step = 0; step < steps; ++step, packed += 2 * kTileElements) {
    _tile_loadd(4, a + step * kTileDepth, aBytes);
    _tile_loadd(6, packed, 64);
    _tile_loadd(7, packed + kTileElements, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTwoHalves) _tile_loadd(5, lower + step * kTileDepth, aBytes);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kTwoHalves) {
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    finished.store(storedEachStep);
  }
  _tile_stored(0, sums, sumBytes);
  _tile_stored(1, sums + kTileRows, sumBytes);
  if constexpr (kTwoHalves) {
    _tile_stored(2, lowerSums, sumBytes);
    _tile_stored(3, lowerSums + kTileRows, sumBytes);
  }
}

}  // namespace

bool amxAvailable() {
#ifdef __linux__
  static const bool available = [] {
    if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("amx-bf16")) return false;
    constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return available;
#else
  return false;  // no other system that runs here has processors with AMX
#endif
}

int64_t gemmColumnBlock(const Gemm& g) {
  const int64_t fits = kPackedBytes / static_cast<int64_t>(sizeof(bf16)) / roundUp(depthAtOnce(g), kTileDepth) / kBlock * kBlock;
  if (fits < kBlock) return kBlock;
  const int64_t blocks = (g.n + fits - 1) / fits;  // all alike
  return roundUp((g.n + blocks - 1) / blocks, kBlock);
}

int64_t gemmScratchBytes(const Gemm& g) {
  const int64_t depth = roundUp(depthAtOnce(g), kTileDepth), columns = gemmColumnBlock(g);
  return (columns + kBlock) * depth * static_cast<int64_t>(sizeof(bf16)) + columns * kBlock * static_cast<int64_t>(sizeof(float));
}

void gemmPart(const Gemm& g, int64_t firstRow, int64_t lastRow, int64_t firstColumn, int64_t lastColumn, void* scratch) {
  configureTiles();
  const int64_t longest = roundUp(depthAtOnce(g), kTileDepth), blocks = roundUp(lastColumn - firstColumn, kBlock) / kBlock;
  float* const sums = static_cast<float*>(scratch);
  bf16* const rowsOfA = reinterpret_cast<bf16*>(sums + blocks * kBlock * kBlock);
  bf16* const packed = rowsOfA + kBlock * longest;
  FinishedBlock finished(g);

  for (int64_t kBegin = 0; kBegin < g.k; kBegin += longest) {
    const int64_t kEnd = kBegin + longest < g.k ? kBegin + longest : g.k;
    const int64_t steps = roundUp(kEnd - kBegin, kTileDepth) / kTileDepth;
    bf16* tile = packed;
    for (int64_t column = firstColumn; column < lastColumn; column += kBlock) {
      for (int64_t step = 0; step < steps; ++step, tile += 2 * kTileElements) {
        packTileOfB(g, column, kBegin + step * kTileDepth, kEnd, tile);
        packTileOfB(g, column + kTileRows, kBegin + step * kTileDepth, kEnd, tile + kTileElements);
      }
    }
    const int64_t panels = (steps + kPanelSteps - 1) / kPanelSteps, panelSteps = (steps + panels - 1) / panels;
    const bool wholeTiles = !g.aTransposed && (kEnd - kBegin) % kTileDepth == 0;
    for (int64_t row = firstRow; row < lastRow; row += kBlock) {
      const int64_t rows = lastRow - row < kBlock ? lastRow - row : kBlock;
      const bf16* a = g.a + row * g.aStride + kBegin;
      int64_t aStride = g.aStride;
      if (!wholeTiles || (rows != kBlock && rows != kTileRows)) {
        packRowsOfA(g, row, lastRow, kBegin, kEnd, rowsOfA, steps * kTileDepth);
        a = rowsOfA;
        aStride = steps * kTileDepth;
      }
      for (int64_t step = 0; step < steps; step += panelSteps) {
        const int64_t stepsHere = steps - step < panelSteps ? steps - step : panelSteps;
        for (int64_t block = 0; block < blocks; ++block) {
          const bf16* tiles = packed + (block * steps + step) * 2 * kTileElements;
          const auto multiply = rows > kTileRows ? multiplyBlock<true> : multiplyBlock<false>;
          multiply(a + step * kTileDepth, aStride, tiles, stepsHere, step == 0, sums + block * kBlock * kBlock, finished);
          if (step + stepsHere < steps) continue;
          const int64_t column = firstColumn + block * kBlock;
          finished.replace(sums + block * kBlock * kBlock, row, rows, column, lastColumn - column < kBlock ? lastColumn - column : kBlock);
        }
      }
    }
  }
  finished.store(kBlock);
  _tile_release();
}

}  // namespace rlt::cpu
