#include "bindings/arguments.h"

#include <cmath>

#include "bindings/errors.h"

namespace rlt::bindings {
namespace {

std::string typeName(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return "the number " + value.ToString().Utf8Value();
    case napi_string: return "a string";
    case napi_function: return "a function";
    case napi_bigint: return "a bigint";
    default: return value.IsTypedArray() ? "another typed array" : value.IsArray() ? "an array" : "an object";
  }
}

[[noreturn]] void unexpected(const Napi::Value& value, const std::string& name, const std::string& expected) {
  fail(value.Env(), "ERR_ARGUMENT", "Expected " + expected + " for " + name + ", got " + typeName(value) + ".");
}

bool isTypedArray(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

}  // namespace

double numberArgument(const Napi::Value& value, const std::string& name) {
  if (!value.IsNumber()) unexpected(value, name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

int64_t integerArgument(const Napi::Value& value, const std::string& name, int64_t least, int64_t most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most) && number == std::floor(number))) {
    unexpected(value, name, "an integer of at least " + std::to_string(least));
  }
  return static_cast<int64_t>(number);
}

bool booleanArgument(const Napi::Value& value, const std::string& name) {
  if (!value.IsBoolean()) unexpected(value, name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string stringArgument(const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) unexpected(value, name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object objectArgument(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject()) unexpected(value, name, "an object");
  return value.As<Napi::Object>();
}

Napi::Array arrayArgument(const Napi::Value& value, const std::string& name) {
  if (!value.IsArray()) unexpected(value, name, "an array");
  return value.As<Napi::Array>();
}

Napi::Function functionArgument(const Napi::Value& value, const std::string& name) {
  if (!value.IsFunction()) unexpected(value, name, "a function");
  return value.As<Napi::Function>();
}

std::span<int32_t> int32ArrayArgument(const Napi::Value& value, const std::string& name) {
  if (!isTypedArray(value, napi_int32_array)) unexpected(value, name, "an Int32Array");
  auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.ElementLength()};
}

std::span<const float> float32ArrayArgument(const Napi::Value& value, const std::string& name) {
  if (!isTypedArray(value, napi_float32_array)) unexpected(value, name, "a Float32Array");
  auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.ElementLength()};
}

std::span<const uint8_t> bytesArgument(const Napi::Value& value, const std::string& name) {
  if (!isTypedArray(value, napi_uint8_array)) unexpected(value, name, "a Uint8Array");
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ElementLength()};
}

ModelConfiguration configurationArgument(const Napi::Value& value) {
  const Napi::Object object = objectArgument(value, "configuration");
  const auto size = [&](const char* name) { return integerArgument(object.Get(name), std::string("configuration.") + name, 1, int64_t{1} << 31); };
  const auto flag = [&](const char* name) { return booleanArgument(object.Get(name), std::string("configuration.") + name); };
  ModelConfiguration c;
  c.vocabularySize = size("vocabularySize");
  c.hiddenSize = size("hiddenSize");
  c.intermediateSize = size("intermediateSize");
  c.layers = size("layers");
  c.heads = size("heads");
  c.keyValueHeads = size("keyValueHeads");
  c.headSize = size("headSize");
  c.maxPositions = size("maxPositions");
  c.normEpsilon = numberArgument(object.Get("normEpsilon"), "configuration.normEpsilon");
  c.queryKeyValueBias = flag("queryKeyValueBias");
  c.queryKeyNorm = flag("queryKeyNorm");
  c.tiedEmbeddings = flag("tiedEmbeddings");
  const Napi::Value frequencies = object.Get("rotaryInverseFrequencies");
  if (!isTypedArray(frequencies, napi_float64_array)) unexpected(frequencies, "configuration.rotaryInverseFrequencies", "a Float64Array");
  const auto array = frequencies.As<Napi::Float64Array>();
  c.rotaryInverseFrequencies.assign(array.Data(), array.Data() + array.ElementLength());

  if (c.headSize % 2 != 0) fail(value.Env(), "ERR_ARGUMENT", "configuration.headSize is " + std::to_string(c.headSize) + "; rotary embedding needs an even one.");
  if (c.heads % c.keyValueHeads != 0) {
    fail(value.Env(), "ERR_ARGUMENT", "configuration.heads (" + std::to_string(c.heads) + ") is not a multiple of keyValueHeads (" + std::to_string(c.keyValueHeads) + ").");
  }
  if (static_cast<int64_t>(c.rotaryInverseFrequencies.size()) != c.headSize / 2) {
    fail(value.Env(), "ERR_SHAPE", "configuration.rotaryInverseFrequencies has " + std::to_string(c.rotaryInverseFrequencies.size()) +
                                       " values; headSize " + std::to_string(c.headSize) + " needs " + std::to_string(c.headSize / 2) + ".");
  }
  return c;
}

std::vector<WeightSource> weightSourcesArgument(const Napi::Value& value, const std::string& name) {
  const Napi::Array array = arrayArgument(value, name);
  std::vector<WeightSource> sources(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::string path = name + "[" + std::to_string(i) + "]";
    const Napi::Object entry = objectArgument(array.Get(i), path);
    WeightSource& source = sources[i];
    source.name = stringArgument(entry.Get("name"), path + ".name");
    source.type = stringArgument(entry.Get("type"), path + ".type");
    source.file = stringArgument(entry.Get("file"), path + ".file");
    source.offset = integerArgument(entry.Get("offset"), path + ".offset", 0);
    source.byteLength = integerArgument(entry.Get("byteLength"), path + ".byteLength", 0);
    const Napi::Array shape = arrayArgument(entry.Get("shape"), path + ".shape");
    for (uint32_t d = 0; d < shape.Length(); ++d) source.shape.push_back(integerArgument(shape.Get(d), path + ".shape", 0));
    const Napi::Value interleaved = entry.Get("rotaryInterleavedHeads");
    if (!interleaved.IsUndefined()) source.rotaryInterleavedHeads = integerArgument(interleaved, path + ".rotaryInterleavedHeads", 0);
  }
  return sources;
}

std::vector<std::string> stringsArgument(const Napi::Value& value, const std::string& name) {
  const Napi::Array array = arrayArgument(value, name);
  std::vector<std::string> strings;
  for (uint32_t i = 0; i < array.Length(); ++i) strings.push_back(stringArgument(array.Get(i), name + "[" + std::to_string(i) + "]"));
  return strings;
}

std::optional<LowRankAdapterOptions> adaptersArgument(const Napi::Value& value) {
  if (value.IsUndefined()) return std::nullopt;
  const Napi::Object object = objectArgument(value, "lora");
  LowRankAdapterOptions options;
  options.rank = integerArgument(object.Get("rank"), "lora.rank", 1, 1 << 20);
  options.scale = numberArgument(object.Get("scale"), "lora.scale");
  options.targets = stringsArgument(object.Get("targets"), "lora.targets");
  options.seed = static_cast<uint64_t>(integerArgument(object.Get("seed"), "lora.seed", 0));
  return options;
}

at::ScalarType dtypeArgument(const Napi::Value& value) {
  const std::string name = stringArgument(value, "dtype");
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  fail(value.Env(), "ERR_ARGUMENT", "Expected 'float32' or 'bfloat16' for dtype, got '" + name + "'.");
}

at::Device deviceArgument(const Napi::Value& value) {
  const std::string name = stringArgument(value, "device");
  if (name != "cpu" && !name.starts_with("cuda")) fail(value.Env(), "ERR_ARGUMENT", "Expected 'cpu' or 'cuda' for device, got '" + name + "'.");
  return at::Device(name);
}

}  // namespace rlt::bindings
