#include <napi.h>

#include "bindings/benchmark.h"
#include "bindings/engine_thread.h"
#include "bindings/model_object.h"
#include "bindings/optimizer_object.h"
#include "bindings/system.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* instance = new rlt::bindings::Instance();
  env.SetInstanceData(instance);
  instance->modelClass = Napi::Persistent(rlt::bindings::ModelObject::define(env));
  exports.Set("loadModel", Napi::Function::New<rlt::bindings::ModelObject::load>(env, "loadModel"));
  exports.Set("NativeAdamW", rlt::bindings::AdamWObject::define(env));
  exports.Set("systemInformation", Napi::Function::New<rlt::bindings::systemInformation>(env, "systemInformation"));
  exports.Set("setThreads", Napi::Function::New<rlt::bindings::setThreads>(env, "setThreads"));
  exports.Set("dequantise", Napi::Function::New<rlt::bindings::dequantise>(env, "dequantise"));
  exports.Set("kernelOperations", Napi::Function::New<rlt::bindings::kernelOperations>(env, "kernelOperations"));
  exports.Set("timeKernel", Napi::Function::New<rlt::bindings::timeKernel>(env, "timeKernel"));
  exports.Set("verifyKernel", Napi::Function::New<rlt::bindings::verifyKernel>(env, "verifyKernel"));
  exports.Set("measurePeaks", Napi::Function::New<rlt::bindings::measurePeaks>(env, "measurePeaks"));
  return exports;
}

}  // namespace

NODE_API_MODULE(rlt, initialise)
