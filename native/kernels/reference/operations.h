// The plain statements of kernels/operations.h, by the same names.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace rlt::reference {

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms);
void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient);
void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse);
at::Tensor swiglu(const at::Tensor& gateUp);
at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy);
at::Tensor widen(const at::Tensor& x);
void addScaled(at::Tensor& y, const at::Tensor& x, double factor);
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& addend);
at::Tensor linearBackwardInput(const at::Tensor& dy, const at::Tensor& weight);
void linearBackwardWeight(const at::Tensor& dy, const at::Tensor& x, at::Tensor& weightGradient);

}  // namespace rlt::reference
