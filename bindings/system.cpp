#include "bindings/system.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUBlas.h>
#include <torch/headeronly/version.h>

#include "bindings/arguments.h"
#include "bindings/engine_thread.h"
#include "bindings/errors.h"
#include "bindings/results.h"
#include "native/kernels/cpu/vector_kernels.h"
#include "native/kernels/cuda/device.h"
#include "native/model/weights/dequantise.h"

namespace rlt::bindings {
namespace {

/// What the CUDA half of this build says of the machine; null without one.
Napi::Value cudaInformation(Napi::Env env) {
#ifdef RLT_CUDA_KERNELS
  const cuda::RuntimeInformation information = cuda::runtimeInformation();
  Napi::Object object = Napi::Object::New(env);
  object.Set("runtime", information.runtime);
  object.Set("driver", information.driver);
  object.Set("problem", information.problem);
  Napi::Array devices = Napi::Array::New(env);
  for (const cuda::DeviceInformation& found : information.devices) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("name", found.name);
    device.Set("memoryBytes", static_cast<double>(found.memoryBytes));
    device.Set("computeCapability", std::to_string(found.capability.major) + "." + std::to_string(found.capability.minor));
    devices[devices.Length()] = device;
  }
  object.Set("devices", devices);
  return object;
#else
  return env.Null();
#endif
}

}  // namespace

Napi::Value systemInformation(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Napi::Object::New(env);
  object.Set("torchVersion", TORCH_VERSION);
  object.Set("cpuCapability", at::get_cpu_capability());
  object.Set("vectorInstructionSet", cpu::vectorInstructionSet());
  object.Set("bfloat16Fast", at::native::cpublas::could_pack(at::kBFloat16));
  object.Set("threads", at::get_num_threads());
  object.Set("cudaDevices", at::hasCUDA() ? static_cast<double>(at::detail::getCUDAHooks().deviceCount()) : 0.0);
  object.Set("cuda", cudaInformation(env));
  return object;
}

void setThreads(const Napi::CallbackInfo& info) {
  EngineThread::of(info.Env()).setThreads(static_cast<int>(integerArgument(info[0], "threads", 1, 4096)));
}

Napi::Value dequantise(const Napi::CallbackInfo& info) {
  const std::string type = stringArgument(info[0], "type");
  const auto bytes = bytesArgument(info[1], "bytes");
  const int64_t count = integerArgument(info[2], "count", 0, int64_t{1} << 31);
  try {
    std::vector<float> values(count);
    rlt::dequantise(type, bytes.data(), static_cast<int64_t>(bytes.size()), values.data(), count);
    return toFloat32Array(info.Env(), values);
  } catch (...) {
    const Failure failure = describe(std::current_exception());
    fail(info.Env(), failure.code, failure.message);
  }
}

}  // namespace rlt::bindings
