#include <immintrin.h>

#include "native/kernels/cpu/vector_kernels.h"

namespace rlt::cpu::avx512 {

#include "native/kernels/cpu/lanes.inl"
#include "native/kernels/cpu/vector_kernels.inl"

VectorKernels<float> floatTable() { return table<float>(); }
VectorKernels<bf16> bf16Table() { return table<bf16>(); }

}  // namespace rlt::cpu::avx512
