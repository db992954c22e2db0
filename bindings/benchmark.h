#pragma once

#include <napi.h>

namespace rlt::bindings {

/// kernelOperations() → [{ name, sizes }]: what the next two take.
Napi::Value kernelOperations(const Napi::CallbackInfo& info);

/// timeKernel(name, sizes, { dtype, device, seed, seconds, repetitions }, cancel)
/// → Promise<{ kernel, plain, operations, bytes }>: seconds of each repetition of both sides.
Napi::Value timeKernel(const Napi::CallbackInfo& info);

/// verifyKernel(name, sizes, { dtype, device, seed }, cancel) → Promise<{ kernel, plain }>: differences from the exact
/// result, output by output.
Napi::Value verifyKernel(const Napi::CallbackInfo& info);

/// measurePeaks({ dtype, device, seconds, repetitions }, cancel) → Promise<{ products, bandwidths }>.
Napi::Value measurePeaks(const Napi::CallbackInfo& info);

}  // namespace rlt::bindings
