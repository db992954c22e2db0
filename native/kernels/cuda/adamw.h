#pragma once

#include <ATen/core/Tensor.h>

#include "native/kernels/cpu/vector_kernels.h"

namespace rlt::cuda {

/// One AdamW step on a CUDA device, in one pass; clears the gradient. value float32, or bfloat16 with `lowerHalf`
/// (int16), which together are the fp32 master; gradient and both moments fp32; all contiguous and of one size.
void adamW(at::Tensor& value, at::Tensor& lowerHalf, at::Tensor& gradient, at::Tensor& first, at::Tensor& second, const cpu::AdamWStep& step);

}  // namespace rlt::cuda
