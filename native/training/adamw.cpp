#include "native/training/adamw.h"

#include <ATen/ATen.h>

#include <cmath>

#include "native/kernels/cpu/dispatch.h"
#include "native/parallel.h"

namespace rlt {

AdamW::AdamW(Parameters& parameters, AdamWOptions options) : options_(options) {
  if (!parameters.trainable()) throw Error("ERR_ARGUMENT", "The model was not loaded as trainable: it has no gradients to step along.");
  for (auto& parameter : parameters.all()) {
    const auto options32 = parameter->value.options().dtype(at::kFloat);
    states_.push_back({parameter.get(), parameter->value.scalar_type() == at::kFloat ? parameter->value : parameter->value.to(at::kFloat),
                       at::zeros(parameter->value.sizes(), options32), at::zeros(parameter->value.sizes(), options32)});
  }
}

AdamWStepResult AdamW::step(double learningRate, double maxGradientNorm) {
  AdamWStepResult result;
  result.gradientNorm = gradientNorm();
  result.skipped = !std::isfinite(result.gradientNorm);
  if (result.skipped) {
    for (State& state : states_) state.parameter->gradient.zero_();
    return result;
  }
  // As torch.nn.utils.clip_grad_norm_, with its 1e-6.
  const double scale = maxGradientNorm > 0 ? std::min(1.0, maxGradientNorm / (result.gradientNorm + 1e-6)) : 1.0;
  result.clipped = scale < 1.0;
  steps_ += 1;
  for (State& state : states_) update(state, learningRate, scale);
  return result;
}

double AdamW::gradientNorm() const {
  double squares = 0;
  for (const State& state : states_) {
    const double norm = at::linalg_vector_norm(state.parameter->gradient, 2).item<double>();
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

void AdamW::update(State& state, double learningRate, double gradientScale) {
  const double correction1 = 1 - std::pow(options_.beta1, steps_), correction2 = 1 - std::pow(options_.beta2, steps_);
  const double decay = state.parameter->decays ? 1 - learningRate * options_.weightDecay : 1.0;
  at::Tensor& gradient = state.parameter->gradient;
  at::Tensor& value = state.parameter->value;

  if (!value.is_cpu()) {
    gradient.mul_(gradientScale);
    state.firstMoment.lerp_(gradient, 1 - options_.beta1);
    state.secondMoment.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    state.master.mul_(decay).addcdiv_(state.firstMoment, state.secondMoment.sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon),
                                      -learningRate / correction1);
    if (!value.is_same(state.master)) value.copy_(state.master);
    gradient.zero_();
    return;
  }
  const cpu::AdamWStep step{static_cast<float>(gradientScale), static_cast<float>(options_.beta1), static_cast<float>(options_.beta2),
                            static_cast<float>(decay), static_cast<float>(learningRate / correction1),
                            static_cast<float>(1 / std::sqrt(correction2)), static_cast<float>(options_.epsilon)};
  cpu::dispatch(value, [&]<typename T>(T) {
    parallelFor(0, value.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      cpu::vectorKernels<T>().adamW(cpu::pointer<T>(value) + begin, cpu::pointer<float>(state.master) + begin,
                                    cpu::pointer<float>(gradient) + begin, cpu::pointer<float>(state.firstMoment) + begin,
                                    cpu::pointer<float>(state.secondMoment) + begin, end - begin, step);
    });
  });
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const State& state : states_) {
    const std::string& name = state.parameter->name;
    if (!state.master.is_same(state.parameter->value)) tensors.emplace_back("master." + name, state.master);
    tensors.emplace_back("first_moment." + name, state.firstMoment);
    tensors.emplace_back("second_moment." + name, state.secondMoment);
  }
  return tensors;
}

}  // namespace rlt
