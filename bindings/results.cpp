#include "bindings/results.h"

#include <algorithm>

#include "native/error.h"
#include "native/model/weights/safetensors_writer.h"

namespace rlt::bindings {

Napi::Array describeTensors(Napi::Env env, const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  Napi::Array list = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    Napi::Object entry = Napi::Object::New(env);
    Napi::Array shape = Napi::Array::New(env, tensor.dim());
    for (int64_t d = 0; d < tensor.dim(); ++d) shape.Set(static_cast<uint32_t>(d), Napi::Number::New(env, static_cast<double>(tensor.size(d))));
    entry.Set("name", name);
    entry.Set("shape", shape);
    entry.Set("dtype", tensor.scalar_type() == at::kFloat ? "F32" : "BF16");
    list.Set(i, entry);
  }
  return list;
}

const at::Tensor& findTensor(const std::vector<std::pair<std::string, at::Tensor>>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& entry) { return entry.first == name; });
  if (found == tensors.end()) throw Error("ERR_ARGUMENT", "There is no tensor named '" + name + "'.");
  return found->second;
}

void writeSafetensors(const std::string& file, const std::string& header, int64_t byteLength,
                      const std::vector<std::pair<std::string, at::Tensor>>& tensors, const std::vector<std::string>& names) {
  SafetensorsWriter writer(file, header, byteLength);
  for (const std::string& name : names) writer.write(findTensor(tensors, name));
  writer.finish();
}

}  // namespace rlt::bindings
