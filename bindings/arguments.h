// Checked reading of JavaScript arguments: each function throws ERR_ARGUMENT naming the argument, what was expected
// and what came instead.
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "native/model/configuration.h"
#include "native/model/low_rank_adapter.h"
#include "native/model/weights/weight_source.h"

namespace rlt::bindings {

double numberArgument(const Napi::Value& value, const std::string& name);
int64_t integerArgument(const Napi::Value& value, const std::string& name, int64_t least, int64_t most = (int64_t{1} << 53));
bool booleanArgument(const Napi::Value& value, const std::string& name);
std::string stringArgument(const Napi::Value& value, const std::string& name);
Napi::Object objectArgument(const Napi::Value& value, const std::string& name);
Napi::Array arrayArgument(const Napi::Value& value, const std::string& name);
Napi::Function functionArgument(const Napi::Value& value, const std::string& name);

/// The memory of a typed array, valid while JavaScript holds it.
std::span<int32_t> int32ArrayArgument(const Napi::Value& value, const std::string& name);
std::span<const float> float32ArrayArgument(const Napi::Value& value, const std::string& name);
std::span<const uint8_t> bytesArgument(const Napi::Value& value, const std::string& name);

ModelConfiguration configurationArgument(const Napi::Value& value);
std::vector<WeightSource> weightSourcesArgument(const Napi::Value& value, const std::string& name);
std::vector<std::string> stringsArgument(const Napi::Value& value, const std::string& name);
/// { rank, scale, targets, seed }, or undefined: no adapters.
std::optional<LowRankAdapterOptions> adaptersArgument(const Napi::Value& value);

/// 'float32' or 'bfloat16'; 'cpu', 'cuda' or 'cuda:N'.
at::ScalarType dtypeArgument(const Napi::Value& value);
at::Device deviceArgument(const Napi::Value& value);

}  // namespace rlt::bindings
