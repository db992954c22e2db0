#include <ATen/ATen.h>

#include "native/benchmark/cases.h"
#include "native/training/adamw.h"

namespace rlt::benchmark {
namespace {

constexpr int64_t kStepsBefore = 10;
constexpr double kLearningRate = 0.5;  // so large that a wrong step is seen beside bfloat16's rounding
const AdamWOptions kOptions{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weightDecay = 0.1};

/// A matrix, which is decayed, and a norm's weight, which is not: a model without layers.
ModelConfiguration configurationOf(const Sizes& sizes) {
  ModelConfiguration c;
  c.vocabularySize = sizes.at("rows"), c.hiddenSize = sizes.at("width"), c.tiedEmbeddings = true;
  return c;
}

/// What one parameter is before the step.
struct Before {
  at::Tensor value, gradient, first, second;
  bool decays;
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

}  // namespace

KernelCase adamWCase(const Sizes& sizes, const Setting& setting) {
  const auto parameters = std::make_shared<Parameters>(configurationOf(sizes), setting.dtype, setting.device);
  parameters->makeTrainable();
  const auto optimizer = std::make_shared<AdamW>(*parameters, kOptions);
  const Setting wide{at::kFloat, setting.device, setting.seed};
  std::vector<Before> before;
  double count = 0;
  for (const auto& parameter : parameters->all()) {
    const auto shape = parameter->value.sizes();
    const uint64_t stream = 4 * before.size();
    before.push_back({randomNormal(shape, setting, stream), randomNormal(shape, wide, stream + 1), randomNormal(shape, wide, stream + 2, 0.3),
                      randomNormal(shape, wide, stream + 3).square_().add_(0.1), parameter->decays});
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
  result.prepare = [=] {
    for (size_t i = 0; i < before.size(); ++i) {
      Parameter& parameter = *parameters->all()[i];
      parameter.value.copy_(before[i].value);
      parameter.gradient.copy_(before[i].gradient);
      (*masters)[i].copy_(before[i].value);
      (*firsts)[i].copy_(before[i].first);
      (*seconds)[i].copy_(before[i].second);
      for (auto& [name, tensor] : optimizer->state()) {
        if (name == "first_moment." + parameter.name) tensor.copy_(before[i].first);
        if (name == "second_moment." + parameter.name) tensor.copy_(before[i].second);
        if (name == "master_lower_half." + parameter.name) tensor.zero_();
      }
    }
    optimizer->setSteps(kStepsBefore);
  };
  result.kernel = [=] {
    optimizer->step(kLearningRate, maxNorm);
    Tensors values;
    for (const auto& parameter : parameters->all()) values.push_back(parameter->value);
    return values;
  };
  result.plain = [=] {
    const double scale = clippingScale(before, maxNorm, at::kFloat);
    Tensors values;
    for (size_t i = 0; i < before.size(); ++i) {
      values.push_back(plainStep((*masters)[i], before[i].gradient, (*firsts)[i], (*seconds)[i], before[i].decays, scale).to(setting.dtype));
    }
    return values;
  };
  result.exact = [=](const Tensors&) {
    const double scale = clippingScale(before, maxNorm, at::kDouble);
    Tensors values;
    for (const Before& b : before) {
      values.push_back(plainStep(exactly(b.value), exactly(b.gradient), exactly(b.first), exactly(b.second), b.decays, scale));
    }
    return values;
  };
  result.operations = 15 * count;
  // The weight in one or two halves, both moments and the gradient, read and written; the gradient read for its norm.
  result.bytes = 36 * count;
  return result;
}

}  // namespace rlt::benchmark
