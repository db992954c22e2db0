#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "native/model/parameters.h"

namespace rlt {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weightDecay = 0;
};

struct AdamWStepResult {
  double gradientNorm = 0;  // of all gradients together, before clipping
  bool clipped = false;
  bool skipped = false;     // a gradient was not finite: nothing was changed but the gradients, which are zeroed
};

/// AdamW (Loshchilov & Hutter 2019; the update of torch.optim.AdamW) with fp32 moments and, for a bfloat16 model,
/// fp32 master weights. Norm weights and biases are not decayed.
class AdamW {
 public:
  AdamW(Parameters& parameters, AdamWOptions options);

  /// Clips the gradients to `maxGradientNorm` (0: no clipping), updates every parameter and zeroes the gradients.
  AdamWStepResult step(double learningRate, double maxGradientNorm);

  int64_t steps() const { return steps_; }
  void setSteps(int64_t steps) { steps_ = steps; }

  /// Moments and, for a bfloat16 model, master weights: by parameter name with a prefix that says which.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

 private:
  struct State {
    Parameter* parameter;
    at::Tensor master;  // the parameter's own value when that is fp32
    at::Tensor firstMoment;
    at::Tensor secondMoment;
  };

  double gradientNorm() const;
  void update(State& state, double learningRate, double gradientScale);

  AdamWOptions options_;
  std::vector<State> states_;
  int64_t steps_ = 0;
};

}  // namespace rlt
