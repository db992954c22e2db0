#pragma once

#include <ATen/core/Tensor.h>

#include "native/kernels/cpu/amx_gemm.h"

namespace rlt::cpu {

/// Whether products of such tensors run on AMX here.
bool gemmServes(const at::Tensor& a, const at::Tensor& b);

/// Runs a product on all threads.
void gemm(const Gemm& product);

/// Runs a product on the calling thread alone: for use inside at::parallel_for.
void gemmSerial(const Gemm& product);

/// x weightᵀ (+ bias) (+ addend), as kernels::linear.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& addend);
at::Tensor linearBackwardInput(const at::Tensor& dy, const at::Tensor& weight);
void linearBackwardWeight(const at::Tensor& dy, const at::Tensor& x, at::Tensor& weightGradient);

}  // namespace rlt::cpu
