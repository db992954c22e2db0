#include "native/training/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cuda/adamw.h"
#include "native/parallel.h"
#include "native/training/dynamic_codes.h"

namespace rlt {

AdamW::AdamW(Parameters& parameters, AdamWOptions options) : options_(options) {
  if (!parameters.trainable()) throw Error("ERR_ARGUMENT", "The model was not loaded as trainable: it has no gradients to step along.");
  for (auto& parameter : parameters.all()) {
    if (!parameter->trained()) continue;
    const at::Tensor& value = parameter->value;
    const bool fp32 = value.scalar_type() == at::kFloat;
    states_.push_back({parameter.get(), fp32 ? at::Tensor() : at::zeros(value.sizes(), value.options().dtype(at::kShort)),
                       Moments(value, options.moments)});
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

namespace {

at::Tensor masterOf(const at::Tensor& value, const at::Tensor& lowerHalf) {
  return value.view(at::kShort).to(at::kInt).mul_(1 << 16).add_(lowerHalf).view(at::kFloat);
}

/// Rounded to the nearest bfloat16, a tie away from zero: what remains then fits in 16 bits with a sign.
void splitMaster(const at::Tensor& master, at::Tensor& value, at::Tensor& lowerHalf) {
  const at::Tensor bits = master.view(at::kInt);
  const at::Tensor upper = bits.add(1 << 15).bitwise_right_shift_(16);
  lowerHalf.copy_(bits - upper.mul(1 << 16));
  value.view(at::kShort).copy_(upper);
}

}  // namespace

void AdamW::update(State& state, double learningRate, double gradientScale) {
  at::Tensor& value = state.parameter->value;
  if (value.is_cpu()) return updateOnCpu(state, learningRate, gradientScale);
#ifdef RLT_CUDA_KERNELS
  if (value.is_cuda()) {
    return cuda::adamW(value, state.lowerHalf, state.parameter->gradient, state.moments,
                       coefficients(learningRate, gradientScale, state.parameter->decays));
  }
#endif
  const double correction1 = 1 - std::pow(options_.beta1, steps_), correction2 = 1 - std::pow(options_.beta2, steps_);
  at::Tensor& gradient = state.parameter->gradient;
  Moments& moments = state.moments;
  gradient.mul_(gradientScale);
  moments.first.lerp_(gradient, 1 - options_.beta1);
  moments.second.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
  at::Tensor master = state.lowerHalf.defined() ? masterOf(value, state.lowerHalf) : value;
  if (state.parameter->decays) master.mul_(1 - learningRate * options_.weightDecay);
  master.addcdiv_(moments.first, moments.second.sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon), -learningRate / correction1);
  if (state.lowerHalf.defined()) splitMaster(master, value, state.lowerHalf);
  gradient.zero_();
}

cpu::AdamWStep AdamW::coefficients(double learningRate, double gradientScale, bool decays) const {
  const double correction1 = 1 - std::pow(options_.beta1, steps_), correction2 = 1 - std::pow(options_.beta2, steps_);
  const double decay = decays ? 1 - learningRate * options_.weightDecay : 1.0;
  return {static_cast<float>(gradientScale), static_cast<float>(options_.beta1), static_cast<float>(options_.beta2),
          static_cast<float>(decay), static_cast<float>(learningRate / correction1),
          static_cast<float>(1 / std::sqrt(correction2)), static_cast<float>(options_.epsilon)};
}

void AdamW::updateOnCpu(State& state, double learningRate, double gradientScale) {
  const cpu::AdamWStep step = coefficients(learningRate, gradientScale, state.parameter->decays);
  at::Tensor& value = state.parameter->value;
  Moments& moments = state.moments;
  cpu::dispatch(value, [&]<typename T>(T) {
    const auto update = [&](int64_t begin, int64_t count, float* first, float* second) {
      int16_t* lowerHalf = state.lowerHalf.defined() ? cpu::pointer<int16_t>(state.lowerHalf) + begin : nullptr;
      cpu::vectorKernels<T>().adamW(cpu::pointer<T>(value) + begin, lowerHalf, cpu::pointer<float>(state.parameter->gradient) + begin, first,
                                    second, count, step);
    };
    if (!moments.dynamic8Bit()) {
      return parallelFor(0, value.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
        update(begin, end - begin, cpu::pointer<float>(moments.first) + begin, cpu::pointer<float>(moments.second) + begin);
      });
    }
    const int64_t blocks = (value.numel() + kCodeBlock - 1) / kCodeBlock;
    parallelFor(0, blocks, (1 << 15) / kCodeBlock, [&](int64_t firstBlock, int64_t lastBlock) {
      float first[kCodeBlock], second[kCodeBlock];
      for (int64_t block = firstBlock; block < lastBlock; ++block) {
        const int64_t begin = block * kCodeBlock, count = std::min(kCodeBlock, value.numel() - begin);
        decodeMoments(moments, begin, count, first, second);
        update(begin, count, first, second);
        encodeMoments(moments, begin, count, first, second);
      }
    });
  });
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const State& state : states_) {
    const std::string& name = state.parameter->name;
    if (state.lowerHalf.defined()) tensors.emplace_back("master_lower_half." + name, state.lowerHalf);
    state.moments.describe(name, tensors);
  }
  return tensors;
}

}  // namespace rlt
