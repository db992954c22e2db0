// Output projection, log-softmax and gather in one: the log-probability of each target token.
//
// On the way, if asked, the entropy of the distribution: -Σ p log p = log Σ exp(x) - Σ p x with x the logits / temperature.
//
// Logits exist for a slice of the vocabulary at a time. The forward pass keeps a running maximum and sum per token;
// the backward pass computes each slice again. No tensor of tokens x vocabulary is ever held.
#pragma once

#include <ATen/core/Tensor.h>

namespace rlt {

struct TokenLogProbabilities {
  at::Tensor values;         // [n] fp32: log softmax(hidden projectionᵀ / temperature) at the target
  at::Tensor logNormaliser;  // [n] fp32: log sum exp(logits / temperature)
  at::Tensor entropy;        // [n] fp32, in nats, 0 to log vocabulary; undefined unless asked for
};

/// hidden [n, hidden], projection [vocabulary, hidden], targets [n] int64, temperature > 0.
TokenLogProbabilities tokenLogProbabilities(const at::Tensor& hidden, const at::Tensor& projection, const at::Tensor& targets, double temperature,
                                            bool withEntropy = false);

/// Given d loss / d log-probability for each token, returns the gradient for `hidden` and adds to `projectionGradient`,
/// if that is defined.
at::Tensor tokenLogProbabilitiesBackward(const at::Tensor& gradient, const TokenLogProbabilities& forward, const at::Tensor& hidden,
                                         const at::Tensor& projection, at::Tensor& projectionGradient, const at::Tensor& targets,
                                         double temperature);

}  // namespace rlt
