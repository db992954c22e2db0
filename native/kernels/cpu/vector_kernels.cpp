#include "native/kernels/cpu/vector_kernels.h"

#include <string_view>

namespace rlt::cpu {

namespace portable {
VectorKernels<float> floatTable();
VectorKernels<bf16> bf16Table();
}  // namespace portable
#ifdef __x86_64__
namespace avx2 {
VectorKernels<float> floatTable();
VectorKernels<bf16> bf16Table();
}  // namespace avx2
namespace avx512 {
VectorKernels<float> floatTable();
VectorKernels<bf16> bf16Table();
}  // namespace avx512
#endif

const char* vectorInstructionSet() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bf16")) {
    return "avx512";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
  return "portable";
}

template <>
const VectorKernels<float>& vectorKernels<float>() {
  static const VectorKernels<float> kernels = [] {
#ifdef __x86_64__
    const std::string_view set = vectorInstructionSet();
    if (set == "avx512") return avx512::floatTable();
    if (set == "avx2") return avx2::floatTable();
#endif
    return portable::floatTable();
  }();
  return kernels;
}

template <>
const VectorKernels<bf16>& vectorKernels<bf16>() {
  static const VectorKernels<bf16> kernels = [] {
#ifdef __x86_64__
    const std::string_view set = vectorInstructionSet();
    if (set == "avx512") return avx512::bf16Table();
    if (set == "avx2") return avx2::bf16Table();
#endif
    return portable::bf16Table();
  }();
  return kernels;
}

}  // namespace rlt::cpu
