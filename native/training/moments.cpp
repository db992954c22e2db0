#include "native/training/moments.h"

#include <ATen/ATen.h>

#include <cmath>

#include "native/error.h"
#include "native/training/dynamic_codes.h"

namespace rlt {
namespace {

bool servedIn8Bit(at::Device device) {
#ifdef RLT_CUDA_KERNELS
  if (device.is_cuda()) return true;
#endif
  return device.is_cpu();
}

}  // namespace

Moments::Moments(const at::Tensor& parameter, MomentType type) {
  const at::TensorOptions options = parameter.options();
  if (type == MomentType::kFloat32) {
    first = at::zeros(parameter.sizes(), options.dtype(at::kFloat));
    second = at::zeros(parameter.sizes(), options.dtype(at::kFloat));
    return;
  }
  if (!servedIn8Bit(parameter.device())) {
    throw Error("ERR_ARGUMENT", "This build has no kernel for 8-bit moments on " + parameter.device().str() + "; take float32 ones.");
  }
  const int64_t blocks = (parameter.numel() + kCodeBlock - 1) / kCodeBlock;
  first = at::full(parameter.sizes(), DynamicCodes::withSign().zero(), options.dtype(at::kByte));
  second = at::full(parameter.sizes(), DynamicCodes::withoutSign().zero(), options.dtype(at::kByte));
  firstScale = at::zeros({blocks}, options.dtype(at::kFloat));
  secondScale = at::zeros({blocks}, options.dtype(at::kFloat));
}

void Moments::describe(const std::string& name, std::vector<std::pair<std::string, at::Tensor>>& into) const {
  if (!dynamic8Bit()) {
    into.emplace_back("first_moment." + name, first);
    into.emplace_back("second_moment." + name, second);
    return;
  }
  into.emplace_back("first_moment_codes." + name, first);
  into.emplace_back("first_moment_scales." + name, firstScale);
  into.emplace_back("second_moment_root_codes." + name, second);
  into.emplace_back("second_moment_root_scales." + name, secondScale);
}

void decodeMoments(const Moments& moments, int64_t begin, int64_t count, float* first, float* second) {
  const int64_t block = begin / kCodeBlock;
  DynamicCodes::withSign().decode(moments.first.const_data_ptr<uint8_t>() + begin, moments.firstScale.const_data_ptr<float>()[block], first, count);
  DynamicCodes::withoutSign().decode(moments.second.const_data_ptr<uint8_t>() + begin, moments.secondScale.const_data_ptr<float>()[block], second,
                                     count);
  for (int64_t i = 0; i < count; ++i) second[i] *= second[i];
}

void encodeMoments(Moments& moments, int64_t begin, int64_t count, const float* first, float* second) {
  const int64_t block = begin / kCodeBlock;
  moments.firstScale.mutable_data_ptr<float>()[block] =
      DynamicCodes::withSign().encode(first, moments.first.mutable_data_ptr<uint8_t>() + begin, count);
  for (int64_t i = 0; i < count; ++i) second[i] = std::sqrt(second[i]);
  moments.secondScale.mutable_data_ptr<float>()[block] =
      DynamicCodes::withoutSign().encode(second, moments.second.mutable_data_ptr<uint8_t>() + begin, count);
}

}  // namespace rlt
