#include "native/training/losses.h"

#include <algorithm>
#include <cmath>

namespace rlt {

TokenLoss SftLoss::operator()(int64_t token, double logProbability, LossStatistics& statistics) const {
  const double weight = weights[token];
  if (weight == 0) return {};
  statistics.tokens += 1;
  return {-weight * logProbability, -weight};
}

TokenLoss GrpoLoss::operator()(int64_t token, double logProbability, LossStatistics& statistics) const {
  const double weight = weights[token];
  if (weight == 0) return {};
  statistics.tokens += 1;

  const double advantage = advantages[token];
  const double ratio = oldLogProbabilities.empty() ? 1.0 : std::exp(logProbability - oldLogProbabilities[token]);
  const double clippedRatio = std::clamp(ratio, 1.0 - clipLow, 1.0 + clipHigh);
  const bool clipped = clippedRatio * advantage < ratio * advantage;
  TokenLoss result{-std::min(ratio * advantage, clippedRatio * advantage), clipped ? 0.0 : -ratio * advantage};
  statistics.ratioSum += ratio;
  statistics.clipped += clipped;

  if (!referenceLogProbabilities.empty()) {
    const double difference = referenceLogProbabilities[token] - logProbability;
    const double k3 = std::expm1(difference) - difference;
    result.loss += beta * k3;
    result.gradient += beta * -std::expm1(difference);
    statistics.klReferenceSum += k3;
  }
  return {weight * result.loss, weight * result.gradient};
}

}  // namespace rlt
