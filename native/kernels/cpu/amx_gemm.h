// Bfloat16 matrix products with fp32 accumulation on AMX tiles.
//
// Every element of the result is summed over k in the same order whatever the other sizes are: a row's result does
// not depend on how many rows are computed with it.
//
// No ATen here: see cmake/KernelFlags.cmake.
#pragma once

#include <cstdint>

#include "native/kernels/cpu/vector_kernels.h"

namespace rlt::cpu {

enum class GemmOutput { bfloat16, float32, addToFloat32 };

/// c[m, n] = a b (+ bias) (+ addend). Strides are in elements.
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  const bf16* a = nullptr;
  int64_t aStride = 0;
  bool aTransposed = false;  // a is stored [k, m]
  const bf16* b = nullptr;
  int64_t bStride = 0;
  bool bTransposed = false;  // b is stored [n, k], as weights are
  void* c = nullptr;
  int64_t cStride = 0;
  GemmOutput output = GemmOutput::bfloat16;
  const bf16* bias = nullptr;    // [n], or null
  const bf16* addend = nullptr;  // [m, n] with c's stride, or null
};

/// Whether this CPU has AMX for bfloat16 and the system lets us use it.
bool amxAvailable();

/// Columns of b that are packed and kept in cache at a time.
int64_t gemmColumnBlock(const Gemm& gemm);

/// Bytes of 64-byte aligned scratch that gemmPart() needs.
int64_t gemmScratchBytes(const Gemm& gemm);

/// Computes rows [firstRow, lastRow) of columns [firstColumn, lastColumn), at most gemmColumnBlock() of them.
/// Parts of one product may run on different threads.
void gemmPart(const Gemm& gemm, int64_t firstRow, int64_t lastRow, int64_t firstColumn, int64_t lastColumn, void* scratch);

/// Columns, from the first on, that gemmFewRows() serves: those of whole blocks of 32, where a has few rows and b is a
/// weight matrix; otherwise 0.
int64_t fewRowsColumns(const Gemm& gemm);

/// Bytes of 64-byte aligned scratch that gemmFewRows() needs.
int64_t fewRowsScratchBytes(const Gemm& gemm);

/// Computes all rows of columns [firstColumn, lastColumn), both multiples of 32.
void gemmFewRows(const Gemm& gemm, int64_t firstColumn, int64_t lastColumn, void* scratch);

}  // namespace rlt::cpu
