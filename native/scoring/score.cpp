#include "native/scoring/score.h"

#include <ATen/ATen.h>

#include <limits>

#include "native/scoring/token_log_probabilities.h"

namespace rlt {

std::vector<float> scoreGroups(Decoder& decoder, const PackedGroups& packed, double temperature, const Cancellation& cancellation,
                               Adapters adapters) {
  const at::Tensor hidden = decoder.forward(packed, nullptr, cancellation, adapters).index_select(0, packed.predictionRows);
  return perSuffixToken(packed, tokenLogProbabilities(hidden, decoder.parameters().outputProjection().value, packed.targets, temperature).values);
}

std::vector<float> perSuffixToken(const PackedGroups& packed, const at::Tensor& predictions) {
  std::vector<float> values(packed.suffixTokens, std::numeric_limits<float>::quiet_NaN());
  const at::Tensor host = predictions.to(at::kCPU).contiguous();
  const float* data = host.const_data_ptr<float>();
  for (size_t i = 0; i < packed.targetPlaces.size(); ++i) values[packed.targetPlaces[i]] = data[i];
  return values;
}

}  // namespace rlt
