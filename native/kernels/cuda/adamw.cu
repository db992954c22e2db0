#include "native/kernels/cuda/adamw.h"

#include "native/kernels/cuda/element_math.h"
#include "native/kernels/cuda/launch.cuh"

namespace rlt::cuda {
namespace {

__global__ void wholeMasters(float* value, float* gradient, float* first, float* second, int64_t n, cpu::AdamWStep step) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) {
    value[i] = adamWElement(value[i], gradient[i], first[i], second[i], step);
    gradient[i] = 0;
  }
}

__global__ void splitMasters(uint16_t* upper, int16_t* lower, float* gradient, float* first, float* second, int64_t n, cpu::AdamWStep step) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) {
    const SplitMaster parts = split(adamWElement(join({upper[i], lower[i]}), gradient[i], first[i], second[i], step));
    upper[i] = parts.upper;
    lower[i] = parts.lower;
    gradient[i] = 0;
  }
}

}  // namespace

void adamW(at::Tensor& value, at::Tensor& lowerHalf, at::Tensor& gradient, at::Tensor& first, at::Tensor& second, const cpu::AdamWStep& step) {
  const int64_t n = value.numel();
  dispatch(value, [&]<typename T>(T) {
    if constexpr (std::is_same_v<T, float>) {
      wholeMasters<<<gridFor(n), kThreads, 0, currentStream()>>>(pointer<float>(value), pointer<float>(gradient), pointer<float>(first),
                                                                 pointer<float>(second), n, step);
    } else {
      splitMasters<<<gridFor(n), kThreads, 0, currentStream()>>>(pointer<uint16_t>(value), pointer<int16_t>(lowerHalf), pointer<float>(gradient),
                                                                 pointer<float>(first), pointer<float>(second), n, step);
    }
  });
}

}  // namespace rlt::cuda
