#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace rlt {

/// One tensor that the optimizer may step. `gradient` is fp32 whatever the value's type, and undefined where it is not
/// trained. Biases and norm weights are excluded from weight decay.
struct Parameter {
  std::string name;
  at::Tensor value;
  at::Tensor gradient;
  bool decays = true;

  bool trained() const { return gradient.defined(); }
};

}  // namespace rlt
