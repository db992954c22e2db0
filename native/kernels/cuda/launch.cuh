// What the kernels share: types, launches on the current stream, and sums over a block.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cstdint>

#include "native/error.h"

namespace rlt::cuda {

constexpr int kThreads = 256;  // of a block: a power of 2, for reduceBlock()

template <typename T>
T* pointer(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

/// Calls body(T{}) with T = float or c10::BFloat16, with the tensor's device as the current one.
template <typename Body>
void dispatch(const at::Tensor& tensor, const Body& body) {
  const c10::cuda::CUDAGuard guard(tensor.device());
  switch (tensor.scalar_type()) {
    case at::kFloat: body(float{}); break;
    case at::kBFloat16: body(c10::BFloat16{}); break;
    default:
      throw Error("ERR_ARGUMENT", std::string("Expected a float32 or bfloat16 tensor, got ") + c10::toString(tensor.scalar_type()) + ".");
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

inline cudaStream_t currentStream() { return c10::cuda::getCurrentCUDAStream().stream(); }

/// Blocks for a loop over `count` elements in steps of the whole grid; at least one.
inline unsigned gridFor(int64_t count) {
  return static_cast<unsigned>(std::clamp<int64_t>((count + kThreads - 1) / kThreads, 1, 65535));
}

/// All threads' values combined, to every thread. The order is fixed: equal input gives equal bits.
template <typename Value, typename Combine>
__device__ Value reduceBlock(Value value, const Combine& combine) {
  // Raw bytes: CUDA allows no shared variable whose type has a constructor.
  __shared__ alignas(Value) unsigned char bytes[kThreads * sizeof(Value)];
  Value* shared = reinterpret_cast<Value*>(bytes);
  shared[threadIdx.x] = value;
  __syncthreads();
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] = combine(shared[threadIdx.x], shared[threadIdx.x + half]);
    __syncthreads();
  }
  const Value result = shared[0];
  __syncthreads();  // a second reduction may reuse the memory
  return result;
}

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};

}  // namespace rlt::cuda
