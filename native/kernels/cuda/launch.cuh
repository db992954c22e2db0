// From tensors to kernels: types, and launches on the current stream.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/BFloat16.h>

#include <cstdint>

#include "native/error.h"
#include "native/kernels/cuda/block.h"

namespace rlt::cuda {

/// Memory that a GPU can read.
template <typename T>
T* pointer(const at::Tensor& tensor) {
  if (!tensor.is_cuda()) throw Error("ERR_ENGINE", "A kernel for CUDA was given a tensor on " + tensor.device().str() + ".");
  return static_cast<T*>(tensor.data_ptr());
}

/// Calls body(T{}) with T = float or c10::BFloat16, with the tensor's device as the current one.
template <typename Body>
void dispatch(const at::Tensor& tensor, const Body& body) {
  const c10::cuda::CUDAGuard guard(tensor.device());
  switch (tensor.scalar_type()) {
    case at::kFloat: return body(float{});
    case at::kBFloat16: return body(c10::BFloat16{});
    default:
      throw Error("ERR_ARGUMENT", std::string("Expected a float32 or bfloat16 tensor, got ") + c10::toString(tensor.scalar_type()) + ".");
  }
}

template <typename Kernel>
__global__ void runKernel(const Kernel kernel) {
  extern __shared__ __align__(16) unsigned char rltSharedMemory[];
  DeviceBlock block(rltSharedMemory);
  kernel(block);
}

/// Queues a kernel on the current stream of the current device.
template <typename Kernel>
void launch(const Kernel& kernel) {
  constexpr int64_t kMostRows = 65535;           // of a grid, on any device
  constexpr size_t kAlwaysThere = 48 << 10;      // bytes of shared memory; more have to be asked for
  Grid grid = kernel.grid();
  if (grid.x == 0 || grid.y == 0) return;
  if (grid.y > kMostRows) throw Error("ERR_SHAPE", "A CUDA kernel would take " + std::to_string(grid.y) + " rows of blocks; there are at most 65535.");
  if (grid.sharedBytes > kAlwaysThere) {
    C10_CUDA_CHECK(cudaFuncSetAttribute(runKernel<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(grid.sharedBytes)));
  }
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y));
  runKernel<<<blocks, grid.threads, grid.sharedBytes, c10::cuda::getCurrentCUDAStream().stream()>>>(kernel);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace rlt::cuda
