// Engine results as JavaScript values.
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "native/model/weights/weight_source.h"

namespace rlt::bindings {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

inline Napi::Float32Array toFloat32Array(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

inline Napi::Int32Array toInt32Array(Napi::Env env, const std::vector<int32_t>& values) {
  Napi::Int32Array array = Napi::Int32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(int32_t));
  return array;
}

/// [{ name, shape, dtype }] as safetensors names types.
Napi::Array describeTensors(Napi::Env env, const NamedTensors& tensors);

/// The tensor of that name; throws ERR_ARGUMENT.
const at::Tensor& findTensor(const NamedTensors& tensors, const std::string& name);

/// Reads a weight into a tensor on any device, by way of host memory where it has to be.
void readTensor(const WeightSource& source, const at::Tensor& destination, MappedFiles& files);

/// writeTensors(file, header, byteLength, names) → Promise<void>: writes a new safetensors file of the named tensors
/// after `header`. `tensor` is asked for one at a time, on the engine's thread, and throws ERR_ARGUMENT where there is
/// none of that name.
Napi::Value writeTensorsJob(const Napi::CallbackInfo& info, std::function<at::Tensor(const std::string&)> tensor);

}  // namespace rlt::bindings
