#include <ATen/ATen.h>

#include "native/benchmark/cases.h"
#include "native/training/adamw.h"
#include "native/training/dynamic_codes.h"

namespace rlt::benchmark {
namespace {

constexpr int64_t kStepsBefore = 10;
constexpr double kLearningRate = 0.5;  // so large that a wrong step is seen beside bfloat16's rounding
constexpr AdamWOptions kOptions{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weightDecay = 0.1};

/// A matrix, which is decayed, and a norm's weight, which is not: a model without layers.
ModelConfiguration configurationOf(const Sizes& sizes) {
  ModelConfiguration c;
  c.vocabularySize = sizes.at("rows"), c.hiddenSize = sizes.at("width"), c.tiedEmbeddings = true;
  return c;
}

/// A tensor in 8-bit codes, made on the host: flat codes, and a scale a block.
struct Coded {
  at::Tensor codes, scales;
};

Coded encoded(const DynamicCodes& table, const at::Tensor& tensor) {
  const at::Tensor values = tensor.to(at::kCPU, at::kFloat).contiguous();
  const int64_t n = values.numel();
  Coded result{at::empty({n}, at::TensorOptions().dtype(at::kByte)), at::empty({(n + kCodeBlock - 1) / kCodeBlock})};
  for (int64_t begin = 0; begin < n; begin += kCodeBlock) {
    result.scales.mutable_data_ptr<float>()[begin / kCodeBlock] = table.encode(
        values.const_data_ptr<float>() + begin, result.codes.mutable_data_ptr<uint8_t>() + begin, std::min(kCodeBlock, n - begin));
  }
  return result;
}

at::Tensor decoded(const DynamicCodes& table, const Coded& coded, const at::Tensor& like) {
  const int64_t n = coded.codes.numel();
  const at::Tensor values = at::empty({n});
  for (int64_t begin = 0; begin < n; begin += kCodeBlock) {
    table.decode(coded.codes.const_data_ptr<uint8_t>() + begin, coded.scales.const_data_ptr<float>()[begin / kCodeBlock],
                 values.mutable_data_ptr<float>() + begin, std::min(kCodeBlock, n - begin));
  }
  return values.view(like.sizes()).to(like.device());
}

/// What one parameter is before the step.
struct Before {
  at::Tensor value, gradient, first, second;
  bool decays;
  Coded firstCoded, rootCoded;  // with 8-bit moments, which `first` and `second` then are
};

/// The step in any type; the master weight is returned.
at::Tensor plainStep(at::Tensor master, at::Tensor gradient, at::Tensor first, at::Tensor second, bool decays, double gradientScale) {
  const double steps = kStepsBefore + 1;
  gradient = gradient * gradientScale;
  first.mul_(kOptions.beta1).add_(gradient, 1 - kOptions.beta1);
  second.mul_(kOptions.beta2).addcmul_(gradient, gradient, 1 - kOptions.beta2);
  if (decays) master.mul_(1 - kLearningRate * kOptions.weightDecay);
  const at::Tensor denominator = second.sqrt().div_(std::sqrt(1 - std::pow(kOptions.beta2, steps))).add_(kOptions.epsilon);
  return master.addcdiv_(first, denominator, -kLearningRate / (1 - std::pow(kOptions.beta1, steps)));
}

double clippingScale(const std::vector<Before>& before, double maxNorm, at::ScalarType dtype) {
  double squares = 0;
  for (const Before& b : before) squares += b.gradient.to(dtype).square().sum().item<double>();
  return std::min(1.0, maxNorm / (std::sqrt(squares) + 1e-6));
}

/// Sets one tensor of an optimizer's state, by name, to what it was before the step.
void restore(const std::string& name, at::Tensor tensor, const std::string& parameter, const Before& before) {
  const auto is = [&](const char* kind) { return name == std::string(kind) + "." + parameter; };
  if (is("first_moment")) tensor.copy_(before.first);
  if (is("second_moment")) tensor.copy_(before.second);
  if (is("master_lower_half")) tensor.zero_();
  if (is("first_moment_codes")) tensor.copy_(before.firstCoded.codes.view(tensor.sizes()));
  if (is("first_moment_scales")) tensor.copy_(before.firstCoded.scales);
  if (is("second_moment_root_codes")) tensor.copy_(before.rootCoded.codes.view(tensor.sizes()));
  if (is("second_moment_root_scales")) tensor.copy_(before.rootCoded.scales);
}

/// `found` where it is at most one code from the right one: rounding may bring a value over the middle between two.
at::Tensor rightCodes(const DynamicCodes& table, const at::Tensor& values, const at::Tensor& found) {
  const at::Tensor right = encoded(table, values).codes.to(at::kLong).view(found.sizes());
  return at::where((right - found.cpu()).abs() <= 1, found.cpu(), right);
}

KernelCase stepCase(const Sizes& sizes, const Setting& setting, MomentType moments) {
  const bool in8Bit = moments == MomentType::kDynamic8Bit;
  const auto parameters = std::make_shared<Parameters>(configurationOf(sizes), setting.dtype, setting.device);
  parameters->makeTrainable();
  AdamWOptions options = kOptions;
  options.moments = moments;
  const auto optimizer = std::make_shared<AdamW>(*parameters, options);
  const Setting wide{at::kFloat, setting.device, setting.seed};
  std::vector<Before> before;
  double count = 0;
  for (const auto& parameter : parameters->all()) {
    const auto shape = parameter->value.sizes();
    const uint64_t stream = 4 * before.size();
    before.push_back({randomNormal(shape, setting, stream), randomNormal(shape, wide, stream + 1), randomNormal(shape, wide, stream + 2, 0.3),
                      randomNormal(shape, wide, stream + 3).square_().add_(0.1), parameter->decays, {}, {}});
    if (in8Bit) {
      Before& b = before.back();
      b.firstCoded = encoded(DynamicCodes::withSign(), b.first);
      b.rootCoded = encoded(DynamicCodes::withoutSign(), b.second.sqrt());
      b.first = decoded(DynamicCodes::withSign(), b.firstCoded, b.first);
      b.second = decoded(DynamicCodes::withoutSign(), b.rootCoded, b.second).square();
    }
    count += static_cast<double>(parameter->value.numel());
  }
  const double maxNorm = 0.5 * std::sqrt(count);  // half of what the gradient has
  const auto masters = std::make_shared<Tensors>(), firsts = std::make_shared<Tensors>(), seconds = std::make_shared<Tensors>();
  for (const Before& b : before) {
    masters->push_back(b.value.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true));
    firsts->push_back(b.first.clone());
    seconds->push_back(b.second.clone());
  }

  KernelCase result;
  result.outputs = {"embedding", "norm weight"};
  if (in8Bit) result.outputs.insert(result.outputs.end(), {"embedding's first moment", "its second", "norm weight's first moment", "its second"});
  result.prepare = [=] {
    for (size_t i = 0; i < before.size(); ++i) {
      Parameter& parameter = *parameters->all()[i];
      parameter.value.copy_(before[i].value);
      parameter.gradient.copy_(before[i].gradient);
      (*masters)[i].copy_(before[i].value);
      (*firsts)[i].copy_(before[i].first);
      (*seconds)[i].copy_(before[i].second);
      for (const auto& [name, tensor] : optimizer->state()) restore(name, tensor, parameter.name, before[i]);
    }
    optimizer->setSteps(kStepsBefore);
  };
  result.kernel = [=] {
    optimizer->step(kLearningRate, maxNorm);
    Tensors values;
    for (const auto& parameter : parameters->all()) values.push_back(parameter->value);
    if (!in8Bit) return values;
    for (const auto& [name, tensor] : optimizer->state())
      if (name.find("_codes.") != std::string::npos) values.push_back(tensor.to(at::kLong));
    return values;
  };
  result.plain = [=] {
    const double scale = clippingScale(before, maxNorm, at::kFloat);
    Tensors values, codes;
    for (size_t i = 0; i < before.size(); ++i) {
      values.push_back(plainStep((*masters)[i], before[i].gradient, (*firsts)[i], (*seconds)[i], before[i].decays, scale).to(setting.dtype));
      if (!in8Bit) continue;
      codes.push_back(encoded(DynamicCodes::withSign(), (*firsts)[i]).codes.to(at::kLong).view(values[i].sizes()));
      codes.push_back(encoded(DynamicCodes::withoutSign(), (*seconds)[i].sqrt()).codes.to(at::kLong).view(values[i].sizes()));
    }
    values.insert(values.end(), codes.begin(), codes.end());
    return values;
  };
  result.exact = [=](const Tensors& found) {
    const double scale = clippingScale(before, maxNorm, at::kDouble);
    Tensors values, codes;
    for (const Before& b : before) {
      at::Tensor first = exactly(b.first).clone(), second = exactly(b.second).clone();
      values.push_back(plainStep(exactly(b.value), exactly(b.gradient), first, second, b.decays, scale));
      if (!in8Bit) continue;
      codes.push_back(rightCodes(DynamicCodes::withSign(), first, found.at(before.size() + codes.size())));
      codes.push_back(rightCodes(DynamicCodes::withoutSign(), second.sqrt(), found.at(before.size() + codes.size())));
    }
    values.insert(values.end(), codes.begin(), codes.end());
    return values;
  };
  result.operations = 15 * count;
  // The weight in one or two halves, both moments and the gradient, read and written; the gradient read for its norm.
  result.bytes = (in8Bit ? 24 : 36) * count;
  return result;
}

}  // namespace

KernelCase adamWCase(const Sizes& sizes, const Setting& setting) { return stepCase(sizes, setting, MomentType::kFloat32); }
KernelCase adamWOf8BitMomentsCase(const Sizes& sizes, const Setting& setting) { return stepCase(sizes, setting, MomentType::kDynamic8Bit); }

}  // namespace rlt::benchmark
