// Engine results as JavaScript values.
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace rlt::bindings {

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
Napi::Array describeTensors(Napi::Env env, const std::vector<std::pair<std::string, at::Tensor>>& tensors);

/// The tensor of that name; throws ERR_ARGUMENT.
const at::Tensor& findTensor(const std::vector<std::pair<std::string, at::Tensor>>& tensors, const std::string& name);

/// Writes the named tensors after `header` into a new safetensors file.
void writeSafetensors(const std::string& file, const std::string& header, int64_t byteLength,
                      const std::vector<std::pair<std::string, at::Tensor>>& tensors, const std::vector<std::string>& names);

}  // namespace rlt::bindings
