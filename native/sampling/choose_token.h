// One pass from a row of logits to a chosen token and its log-probability.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace rlt {

struct SamplingOptions {
  double temperature = 1;  // 0: the most probable token
  int64_t topK = 0;        // 0: off
  double topP = 1;         // 1: off
  double minP = 0;         // 0: off
};

struct ChosenToken {
  int32_t token = 0;
  /// log softmax(logits / temperature) of the token over the whole vocabulary, before any filter, so that it can be
  /// compared with a score; at temperature 1 when greedy.
  float logProbability = 0;
};

/// Where one draw of random numbers comes from: the same source gives the same number, whatever else is sampled.
struct DrawSource {
  uint64_t seed = 0;
  uint64_t sample = 0;
  uint64_t position = 0;
};

/// Chooses a token for each row of logits [rows, vocabulary], whose rows are dense but may be one and the same. Filters apply as in transformers, each to what the one
/// before left: temperature, top-k, top-p, min-p. Throws ERR_ARGUMENT when a row holds no finite logit.
std::vector<ChosenToken> chooseTokens(const at::Tensor& logits, const std::vector<DrawSource>& sources, const SamplingOptions& options);

}  // namespace rlt
