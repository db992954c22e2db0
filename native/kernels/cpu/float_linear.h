#pragma once

#include <ATen/core/Tensor.h>

namespace rlt::cpu {

/// As kernels::floatLinear.
at::Tensor floatLinear(const at::Tensor& x, const at::Tensor& weight);

}  // namespace rlt::cpu
