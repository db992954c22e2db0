#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/sampling/choose_token.h"

namespace rlt::cuda {

/// chooseTokens() of sampling/choose_token.h on a CUDA device. draws: a row's number in (0, 1) each; none when greedy.
/// A row whose logits are not finite gets the token -1. Waits for the device: the tokens are needed on the host.
std::vector<ChosenToken> chooseTokens(const at::Tensor& logits, std::vector<double> draws, const SamplingOptions& options);

}  // namespace rlt::cuda
