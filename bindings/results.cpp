#include "bindings/results.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bindings/arguments.h"
#include "bindings/engine_thread.h"
#include "native/error.h"
#include "native/model/weights/safetensors_writer.h"

namespace rlt::bindings {

namespace {

const char* safetensorsType(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return "F32";
    case at::kBFloat16: return "BF16";
    case at::kShort: return "I16";
    case at::kByte: return "U8";
    default: throw Error("ERR_ARGUMENT", std::string("There are no saved tensors of type ") + c10::toString(type) + ".");
  }
}

}  // namespace

Napi::Array describeTensors(Napi::Env env, const NamedTensors& tensors) {
  Napi::Array list = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    Napi::Object entry = Napi::Object::New(env);
    Napi::Array shape = Napi::Array::New(env, tensor.dim());
    for (int64_t d = 0; d < tensor.dim(); ++d) shape.Set(static_cast<uint32_t>(d), Napi::Number::New(env, static_cast<double>(tensor.size(d))));
    entry.Set("name", name);
    entry.Set("shape", shape);
    entry.Set("dtype", safetensorsType(tensor.scalar_type()));
    list.Set(i, entry);
  }
  return list;
}

const at::Tensor& findTensor(const NamedTensors& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& entry) { return entry.first == name; });
  if (found == tensors.end()) throw Error("ERR_ARGUMENT", "There is no tensor named '" + name + "'.");
  return found->second;
}

void readTensor(const WeightSource& source, const at::Tensor& destination, MappedFiles& files) {
  const auto read = at::isIntegralType(destination.scalar_type(), false) ? readIntegers : readWeight;
  if (destination.is_cpu()) return read(source, destination, files);
  const at::Tensor host = at::empty(destination.sizes(), destination.options().device(at::kCPU));
  read(source, host, files);
  destination.copy_(host);
}

Napi::Value writeTensorsJob(const Napi::CallbackInfo& info, std::function<at::Tensor(const std::string&)> tensor) {
  const std::string file = stringArgument(info[0], "file");
  const auto bytes = bytesArgument(info[1], "header");
  const std::string header(bytes.begin(), bytes.end());
  const int64_t byteLength = integerArgument(info[2], "byteLength", 0);
  const std::vector<std::string> names = stringsArgument(info[3], "names");
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [=](JobContext&) -> Settle {
    SafetensorsWriter writer(file, header, byteLength);
    for (const std::string& name : names) writer.write(tensor(name));
    writer.finish();
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

}  // namespace rlt::bindings
