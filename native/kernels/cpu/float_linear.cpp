// Small fp32 products on the engine's own threads: LibTorch's run on OpenMP's, and the two sets of threads take each
// other's cores in turns, which more than doubles the time of a decoding step.
#include "native/kernels/cpu/float_linear.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cpu/scratch.h"
#include "native/parallel.h"

namespace rlt::cpu {
namespace {

/// Terms that are packed at a time: 64 KiB of weights, which stay in the second-level cache.
constexpr int64_t kTerms = 1024;

thread_local Scratch scratch;

int64_t divideUp(int64_t value, int64_t by) { return (value + by - 1) / by; }

typedef float Four __attribute__((vector_size(16), aligned(4)));

/// Four rows of four values, taken as columns.
void transpose4(const float* from, int64_t stride, float* to) {
  const auto row = [&](int64_t r) { return *reinterpret_cast<const Four*>(from + r * stride); };
  const Four low01 = __builtin_shufflevector(row(0), row(1), 0, 4, 1, 5), high01 = __builtin_shufflevector(row(0), row(1), 2, 6, 3, 7);
  const Four low23 = __builtin_shufflevector(row(2), row(3), 0, 4, 1, 5), high23 = __builtin_shufflevector(row(2), row(3), 2, 6, 3, 7);
  const auto column = [&](int64_t c) -> Four& { return *reinterpret_cast<Four*>(to + c * kFloatColumns); };
  column(0) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  column(1) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  column(2) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  column(3) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

/// packed[i][c] = weight[c][i], 0 beyond the columns there are.
void pack(const float* weight, int64_t stride, int64_t columns, int64_t terms, float* packed) {
  const int64_t wholeColumns = columns / 4 * 4, wholeTerms = terms / 4 * 4;
  for (int64_t c = 0; c < wholeColumns; c += 4) {
    for (int64_t i = 0; i < wholeTerms; i += 4) transpose4(weight + c * stride + i, stride, packed + i * kFloatColumns + c);
  }
  for (int64_t c = 0; c < kFloatColumns; ++c) {
    for (int64_t i = c < wholeColumns ? wholeTerms : 0; i < terms; ++i) {
      packed[i * kFloatColumns + c] = c < columns ? weight[c * stride + i] : 0.0f;
    }
  }
}

}  // namespace

at::Tensor floatLinear(const at::Tensor& x, const at::Tensor& weight) {
  const int64_t m = x.size(0), n = weight.size(0), k = x.size(1);
  at::Tensor y = at::empty({m, n}, x.options());
  const int64_t columnParts = divideUp(n, kFloatColumns);
  // Where columns make too few parts for the threads to share evenly, rows are split too, each part packing anew.
  const int64_t rowParts = std::clamp(divideUp(4 * parallelThreads(), columnParts), int64_t{1}, std::max<int64_t>(1, m / 64));
  const int64_t rowsEach = divideUp(divideUp(m, rowParts), 8) * 8;
  // Parts of less than some microseconds cost more to hand out than to do; with fewer than these, the threads go to
  // sleep between the products of a decoding step.
  const int64_t leastParts = std::max<int64_t>(1, 20000 / std::max<int64_t>(1, k * (kFloatColumns + rowsEach)));
  parallelFor(0, columnParts * rowParts, leastParts, [&](int64_t begin, int64_t end) {
    float* packed = static_cast<float*>(scratch.atLeast(kTerms * kFloatColumns * static_cast<int64_t>(sizeof(float))));
    for (int64_t part = begin; part < end; ++part) {
      const int64_t column = part / rowParts * kFloatColumns, row = part % rowParts * rowsEach;
      if (row >= m) continue;
      const int64_t columns = std::min(kFloatColumns, n - column), rows = std::min(rowsEach, m - row);
      for (int64_t term = 0; term < k; term += kTerms) {
        const int64_t terms = std::min(kTerms, k - term);
        pack(pointer<float>(weight) + column * weight.stride(0) + term, weight.stride(0), columns, terms, packed);
        vectorKernels<float>().floatProduct(pointer<float>(x) + row * x.stride(0) + term, x.stride(0), rows, packed, terms,
                                            pointer<float>(y) + row * n + column, n, columns, term > 0);
      }
    }
  });
  return y;
}

}  // namespace rlt::cpu
