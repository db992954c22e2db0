#pragma once

#include <napi.h>

namespace rlt::bindings {

/// What the engine runs on: LibTorch's version, instruction sets, threads, GPUs.
Napi::Value systemInformation(const Napi::CallbackInfo& info);

/// setThreads(n): threads for the jobs submitted from now on.
void setThreads(const Napi::CallbackInfo& info);

/// dequantise(type, bytes, count) → Float32Array, for tests and tools.
Napi::Value dequantise(const Napi::CallbackInfo& info);

}  // namespace rlt::bindings
