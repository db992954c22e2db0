#include "native/training/backward.h"

#include <ATen/ATen.h>

#include "native/scoring/score.h"
#include "native/scoring/token_log_probabilities.h"

namespace rlt {

LossStatistics backwardGroups(Decoder& decoder, const PackedGroups& packed, const LossFunction& loss, double temperature, Checkpointing checkpointing,
                              const Cancellation& cancellation) {
  Parameter& projection = decoder.parameters().outputProjection();
  DecoderActivations activations;
  activations.checkpointing = checkpointing;
  const at::Tensor hidden = decoder.forward(packed, &activations, cancellation);
  const at::Tensor predicting = hidden.index_select(0, packed.predictionRows);
  const TokenLogProbabilities logProbabilities = tokenLogProbabilities(predicting, projection.value, packed.targets, temperature, true);

  LossStatistics statistics;
  statistics.logProbabilities = perSuffixToken(packed, logProbabilities.values);
  const at::Tensor entropy = logProbabilities.entropy.to(at::kCPU).contiguous();
  const std::span entropies(entropy.const_data_ptr<float>(), packed.targetPlaces.size());
  const TokenGradients tokenGradients =
      loss({statistics.logProbabilities, entropies, packed.targetPlaces, packed.suffixLengths}, statistics);

  cancellation.check();
  const at::Tensor gradient = at::tensor(tokenGradients, at::TensorOptions().dtype(at::kFloat)).to(hidden.device());
  const at::Tensor predictingGradient = tokenLogProbabilitiesBackward(gradient, logProbabilities, predicting, projection.value,
                                                                      projection.gradient, packed.targets, temperature);
  // Several suffixes are predicted from the same last row of their prefix: their gradients are summed in fp32.
  at::Tensor hiddenGradient = at::zeros(hidden.sizes(), hidden.options().dtype(at::kFloat));
  hiddenGradient.index_add_(0, packed.predictionRows, predictingGradient.to(at::kFloat));
  decoder.backward(packed, activations, hiddenGradient.to(hidden.scalar_type()), cancellation);
  return statistics;
}

}  // namespace rlt
