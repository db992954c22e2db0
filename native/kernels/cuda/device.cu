#include "native/kernels/cuda/device.h"

#include <c10/cuda/CUDAException.h>
#include <cuda_runtime.h>

namespace rlt::cuda {
namespace {

/// 13020 is 13.2.
std::string versionText(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

}  // namespace

Capability capabilityOf(c10::Device device) {
  Capability result;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&result.major, cudaDevAttrComputeCapabilityMajor, device.index()));
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&result.minor, cudaDevAttrComputeCapabilityMinor, device.index()));
  return result;
}

RuntimeInformation runtimeInformation() {
  RuntimeInformation result;
  int version = 0, count = 0;
  if (cudaRuntimeGetVersion(&version) == cudaSuccess) result.runtime = versionText(version);
  if (cudaDriverGetVersion(&version) == cudaSuccess && version > 0) result.driver = versionText(version);
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    result.problem = cudaGetErrorString(status);
    static_cast<void>(cudaGetLastError());  // else the next call would report it as its own
    return result;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, i));
    result.devices.push_back({properties.name, static_cast<int64_t>(properties.totalGlobalMem), {properties.major, properties.minor}});
  }
  return result;
}

}  // namespace rlt::cuda
