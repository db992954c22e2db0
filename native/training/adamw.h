#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "native/kernels/cpu/vector_kernels.h"
#include "native/model/parameters.h"
#include "native/training/moments.h"

namespace rlt {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weightDecay = 0;
  MomentType moments = MomentType::kFloat32;
};

struct AdamWStepResult {
  double gradientNorm = 0;  // of all gradients together, before clipping
  bool clipped = false;
  bool skipped = false;     // a gradient was not finite: nothing was changed but the gradients, which are zeroed
};

/// AdamW (Loshchilov & Hutter 2019; the update of torch.optim.AdamW). Norm weights and biases are not decayed.
/// The master weights are fp32: of a bfloat16 model the weights themselves are their upper halves, and the optimizer
/// keeps the lower ones, so that no memory holds the same digits twice.
class AdamW {
 public:
  AdamW(Parameters& parameters, AdamWOptions options);

  /// Clips the gradients to `maxGradientNorm` (0: no clipping), updates every parameter and zeroes the gradients.
  AdamWStepResult step(double learningRate, double maxGradientNorm);

  int64_t steps() const { return steps_; }
  void setSteps(int64_t steps) { steps_ = steps; }

  /// Moments and, for a bfloat16 model, lower halves of master weights: by parameter name with a prefix that says
  /// which.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

 private:
  struct State {
    Parameter* parameter;
    // int16, of the parameter's shape: master weight = bits of the bfloat16 weight * 2^16 + this. Undefined where the
    // parameter is fp32.
    at::Tensor lowerHalf;
    Moments moments;
  };

  double gradientNorm() const;
  void update(State& state, double learningRate, double gradientScale);
  cpu::AdamWStep coefficients(double learningRate, double gradientScale, bool decays) const;
  void updateOnCpu(State& state, double learningRate, double gradientScale);

  AdamWOptions options_;
  std::vector<State> states_;
  int64_t steps_ = 0;
};

}  // namespace rlt
