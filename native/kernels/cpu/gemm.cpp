#include "native/kernels/cpu/gemm.h"

#include <ATen/ops/empty.h>

#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cpu/scratch.h"
#include "native/parallel.h"

namespace rlt::cpu {
namespace {

thread_local Scratch scratch;

int64_t divideUp(int64_t value, int64_t by) { return (value + by - 1) / by; }

/// The columns that are served, some parts for each thread, so that one that is held up leaves work to the others; each
/// part packs the rows anew.
void fewRows(const Gemm& product, int64_t columns) {
  constexpr int64_t kPartsAThread = 2, kLeastColumns = 256;
  const int64_t columnsEach = std::max(kLeastColumns, divideUp(divideUp(columns, kPartsAThread * parallelThreads()), 32) * 32);
  parallelFor(0, divideUp(columns, columnsEach), 1, [&](int64_t begin, int64_t end) {
    void* memory = scratch.atLeast(fewRowsScratchBytes(product));
    gemmFewRows(product, begin * columnsEach, std::min(columns, end * columnsEach), memory);
  });
}

/// Columns [first, n).
Gemm columnsFrom(const Gemm& product, int64_t first) {
  Gemm rest = product;
  const int64_t width = product.output == GemmOutput::bfloat16 ? 2 : 4;
  rest.n -= first;
  rest.b += first * product.bStride;
  rest.c = static_cast<char*>(product.c) + first * width;
  if (product.bias) rest.bias += first;
  if (product.addend) rest.addend += first;
  return rest;
}

}  // namespace

#ifndef __x86_64__
bool amxAvailable() { return false; }
int64_t gemmColumnBlock(const Gemm&) { return 1; }
int64_t gemmScratchBytes(const Gemm&) { return 0; }
void gemmPart(const Gemm&, int64_t, int64_t, int64_t, int64_t, void*) {}
int64_t fewRowsColumns(const Gemm&) { return 0; }
int64_t fewRowsScratchBytes(const Gemm&) { return 0; }
void gemmFewRows(const Gemm&, int64_t, int64_t, void*) {}
#endif

bool gemmServes(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cpu() && a.scalar_type() == at::kBFloat16 && b.scalar_type() == at::kBFloat16 && a.stride(-1) == 1 && b.stride(-1) == 1 &&
         amxAvailable();
}

void gemm(const Gemm& product) {
  if (product.m == 0 || product.n == 0) return;
  if (const int64_t columns = fewRowsColumns(product)) {
    fewRows(product, columns);
    return gemm(columnsFrom(product, columns));
  }
  // Parts of whole column blocks; where those are fewer than the threads could share evenly, rows are split too.
  const int64_t threads = parallelThreads();
  int64_t columnBlock = gemmColumnBlock(product);
  const int64_t share = divideUp(divideUp(product.n, threads), 32) * 32;
  if (share < columnBlock) columnBlock = share;
  const int64_t columnParts = divideUp(product.n, columnBlock);
  const int64_t rowParts = columnParts >= 4 * threads || columnParts % threads == 0 ? 1 : std::min(divideUp(product.m, 64), threads);
  const int64_t rowsEach = divideUp(divideUp(product.m, rowParts), 32) * 32;
  parallelFor(0, columnParts * rowParts, 1, [&](int64_t begin, int64_t end) {
    void* memory = scratch.atLeast(gemmScratchBytes(product));
    for (int64_t part = begin; part < end; ++part) {
      const int64_t column = part / rowParts * columnBlock, row = part % rowParts * rowsEach;
      if (row >= product.m) continue;
      gemmPart(product, row, std::min(product.m, row + rowsEach), column, std::min(product.n, column + columnBlock), memory);
    }
  });
}

void gemmSerial(const Gemm& product) {
  if (product.m == 0 || product.n == 0) return;
  void* memory = scratch.atLeast(gemmScratchBytes(product));
  const int64_t columnBlock = gemmColumnBlock(product);
  for (int64_t column = 0; column < product.n; column += columnBlock) {
    gemmPart(product, 0, product.m, column, std::min(product.n, column + columnBlock), memory);
  }
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& addend) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  Gemm product;
  product.m = x.size(0), product.n = weight.size(0), product.k = x.size(1);
  product.a = pointer<bf16>(x), product.aStride = x.stride(0);
  product.b = pointer<bf16>(weight), product.bStride = weight.stride(0), product.bTransposed = true;
  product.c = y.data_ptr(), product.cStride = y.stride(0);
  product.bias = bias.defined() ? pointer<bf16>(bias) : nullptr;
  product.addend = addend.defined() ? pointer<bf16>(addend) : nullptr;
  gemm(product);
  return y;
}

at::Tensor linearBackwardInput(const at::Tensor& dy, const at::Tensor& weight) {
  at::Tensor dx = at::empty({dy.size(0), weight.size(1)}, dy.options());
  Gemm product;
  product.m = dy.size(0), product.n = weight.size(1), product.k = weight.size(0);
  product.a = pointer<bf16>(dy), product.aStride = dy.stride(0);
  product.b = pointer<bf16>(weight), product.bStride = weight.stride(0);
  product.c = dx.data_ptr(), product.cStride = dx.stride(0);
  gemm(product);
  return dx;
}

void linearBackwardWeight(const at::Tensor& dy, const at::Tensor& x, at::Tensor& weightGradient) {
  Gemm product;
  product.m = dy.size(1), product.n = x.size(1), product.k = dy.size(0);
  product.a = pointer<bf16>(dy), product.aStride = dy.stride(0), product.aTransposed = true;
  product.b = pointer<bf16>(x), product.bStride = x.stride(0);
  product.c = weightGradient.data_ptr(), product.cStride = weightGradient.stride(0);
  product.output = GemmOutput::addToFloat32;
  gemm(product);
}

}  // namespace rlt::cpu
