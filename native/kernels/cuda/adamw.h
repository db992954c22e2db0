#pragma once

#include <ATen/core/Tensor.h>

#include "native/kernels/cpu/vector_kernels.h"
#include "native/training/moments.h"

namespace rlt::cuda {

/// One AdamW step on a CUDA device, in one pass; clears the gradient. value float32, or bfloat16 with `lowerHalf`
/// (int16), which together are the fp32 master; gradient fp32; moments of either kind; all dense and of one size.
void adamW(at::Tensor& value, at::Tensor& lowerHalf, at::Tensor& gradient, Moments& moments, const cpu::AdamWStep& step);

}  // namespace rlt::cuda
