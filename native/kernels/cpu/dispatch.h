// From a tensor's type to the loops and pointers of that type.
#pragma once

#include <ATen/core/Tensor.h>

#include "native/error.h"
#include "native/kernels/cpu/vector_kernels.h"

namespace rlt::cpu {

/// Memory that this processor can read: a kernel that is given a GPU's must fail, not crash.
template <typename T>
T* pointer(const at::Tensor& tensor) {
  if (!tensor.is_cpu()) throw Error("ERR_ENGINE", "A kernel of the CPU was given a tensor on " + tensor.device().str() + ".");
  return static_cast<T*>(tensor.data_ptr());
}

/// Calls body(T{}) with T = float or bf16.
template <typename Body>
void dispatch(const at::Tensor& tensor, const Body& body) {
  switch (tensor.scalar_type()) {
    case at::kFloat: return body(float{});
    case at::kBFloat16: return body(bf16{});
    default:
      throw Error("ERR_ARGUMENT", std::string("Expected a float32 or bfloat16 tensor, got ") + c10::toString(tensor.scalar_type()) + ".");
  }
}

}  // namespace rlt::cpu
