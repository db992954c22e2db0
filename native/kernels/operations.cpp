#include "native/kernels/operations.h"

#include <ATen/ops/mm.h>

#include "native/kernels/cpu/float_linear.h"
#include "native/kernels/cpu/gemm.h"
#include "native/kernels/cpu/operations.h"
#include "native/kernels/cuda/operations.h"
#include "native/kernels/reference/operations.h"

// RLT_CUDA_KERNELS: the .cu files are compiled in. Only float32 and bfloat16 have kernels.
#ifdef RLT_CUDA_KERNELS
#define RLT_TRY_CUDA(tensor, call)                                                                                     \
  if ((tensor).is_cuda() && ((tensor).scalar_type() == at::kFloat || (tensor).scalar_type() == at::kBFloat16)) return cuda::call
#else
#define RLT_TRY_CUDA(tensor, call)
#endif

namespace rlt::kernels {

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms) {
  RLT_TRY_CUDA(x, rmsNorm(x, weight, epsilon, inverseRms));
  return x.is_cpu() ? cpu::rmsNorm(x, weight, epsilon, inverseRms) : reference::rmsNorm(x, weight, epsilon, inverseRms);
}

void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient) {
  RLT_TRY_CUDA(x, rmsNormBackward(dy, x, weight, inverseRms, dx, weightGradient));
  return x.is_cpu() ? cpu::rmsNormBackward(dy, x, weight, inverseRms, dx, weightGradient)
                    : reference::rmsNormBackward(dy, x, weight, inverseRms, dx, weightGradient);
}

void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  RLT_TRY_CUDA(rows, rotate(rows, heads, headSize, cosine, sine, inverse));
  return rows.is_cpu() ? cpu::rotate(rows, heads, headSize, cosine, sine, inverse)
                       : reference::rotate(rows, heads, headSize, cosine, sine, inverse);
}

at::Tensor swiglu(const at::Tensor& gateUp) {
  RLT_TRY_CUDA(gateUp, swiglu(gateUp));
  return gateUp.is_cpu() ? cpu::swiglu(gateUp) : reference::swiglu(gateUp);
}

at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy) {
  RLT_TRY_CUDA(gateUp, swigluBackward(gateUp, dy));
  return gateUp.is_cpu() ? cpu::swigluBackward(gateUp, dy) : reference::swigluBackward(gateUp, dy);
}

at::Tensor widen(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return x;
  return x.is_cpu() ? cpu::widen(x) : reference::widen(x);
}

void addScaled(at::Tensor& y, const at::Tensor& x, double factor) {
  return y.is_cpu() ? cpu::addScaled(y, x, factor) : reference::addScaled(y, x, factor);
}

// Matrix products: our own on AMX, LibTorch's (oneDNN and MKL on the CPU, cuBLAS on a GPU) for everything else.

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& addend) {
  return cpu::gemmServes(x, weight) ? cpu::linear(x, weight, bias, addend) : reference::linear(x, weight, bias, addend);
}

at::Tensor linearBackwardInput(const at::Tensor& dy, const at::Tensor& weight) {
  return cpu::gemmServes(dy, weight) ? cpu::linearBackwardInput(dy, weight) : reference::linearBackwardInput(dy, weight);
}

void linearBackwardWeight(const at::Tensor& dy, const at::Tensor& x, at::Tensor& weightGradient) {
  return cpu::gemmServes(dy, x) ? cpu::linearBackwardWeight(dy, x, weightGradient) : reference::linearBackwardWeight(dy, x, weightGradient);
}

at::Tensor floatLinear(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cpu() ? cpu::floatLinear(x, weight) : at::mm(x, weight.t());
}

}  // namespace rlt::kernels
