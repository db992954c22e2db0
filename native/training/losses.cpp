#include "native/training/losses.h"

#include <algorithm>
#include <cmath>

namespace rlt {
namespace {

struct Term {
  double loss = 0;
  double gradient = 0;  // d loss / d log-probability
};

void count(const ScoredTokens& tokens, size_t i, LossStatistics& statistics) {
  statistics.tokens += 1;
  statistics.entropySum += tokens.entropies[i];
}

}  // namespace

TokenGradients SftLoss::operator()(const ScoredTokens& tokens, LossStatistics& statistics) const {
  TokenGradients gradients(tokens.places.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    const int64_t place = tokens.places[i];
    const double weight = weights[place];
    if (weight == 0) continue;
    count(tokens, i, statistics);
    statistics.loss += -weight * tokens.logProbabilities[place];
    gradients[i] = -weight;
  }
  return gradients;
}

TokenGradients GrpoLoss::operator()(const ScoredTokens& tokens, LossStatistics& statistics) const {
  TokenGradients gradients(tokens.places.size());
  size_t first = 0;
  int64_t end = 0;
  for (const int64_t length : tokens.suffixLengths) {
    end += length;
    size_t last = first;
    while (last < tokens.places.size() && tokens.places[last] < end) ++last;
    addSuffix(tokens, first, last, gradients, statistics);
    first = last;
  }
  return gradients;
}

void GrpoLoss::addSuffix(const ScoredTokens& tokens, size_t first, size_t last, TokenGradients& gradients, LossStatistics& statistics) const {
  const bool ofSequence = ratioLevel == RatioLevel::kSequence;
  const double sequenceLogRatio = ofSequence ? meanLogRatio(tokens, first, last) : 0;
  // What the tokens' terms say together about the ratio of their suffix, which each token has an equal part in.
  double sequenceGradient = 0;
  int64_t counted = 0;

  for (size_t i = first; i < last; ++i) {
    const int64_t place = tokens.places[i];
    const double weight = weights[place];
    if (weight == 0) continue;
    count(tokens, i, statistics);
    counted += 1;

    const double logProbability = tokens.logProbabilities[place];
    const double advantage = advantages[place];
    const double ratio = std::exp(ofSequence ? sequenceLogRatio : logRatio(tokens, place));
    const double clippedRatio = std::clamp(ratio, 1.0 - clipLow, 1.0 + clipHigh);
    statistics.ratioSum += ratio;

    Term term;
    if (clipping == Clipping::kWeight) {
      statistics.clipped += clippedRatio != ratio;
      term = {-clippedRatio * advantage * logProbability, -clippedRatio * advantage};
    } else {
      const bool clipped = clippedRatio * advantage < ratio * advantage;
      statistics.clipped += clipped;
      term = {-std::min(ratio * advantage, clippedRatio * advantage), clipped ? 0.0 : -ratio * advantage};
      if (ofSequence) {
        sequenceGradient += weight * term.gradient;
        term.gradient = 0;
      }
    }

    if (!referenceLogProbabilities.empty()) {
      const double difference = referenceLogProbabilities[place] - logProbability;
      const double k3 = std::expm1(difference) - difference;
      term.loss += beta * k3;
      term.gradient += beta * -std::expm1(difference);
      statistics.klReferenceSum += k3;
    }
    statistics.loss += weight * term.loss;
    gradients[i] = weight * term.gradient;
  }

  if (sequenceGradient == 0) return;
  for (size_t i = first; i < last; ++i) {
    if (weights[tokens.places[i]] != 0) gradients[i] += sequenceGradient / static_cast<double>(counted);
  }
}

double GrpoLoss::logRatio(const ScoredTokens& tokens, int64_t place) const {
  if (oldLogProbabilities.empty()) return 0;
  return static_cast<double>(tokens.logProbabilities[place]) - oldLogProbabilities[place];
}

double GrpoLoss::meanLogRatio(const ScoredTokens& tokens, size_t first, size_t last) const {
  double sum = 0;
  int64_t counted = 0;
  for (size_t i = first; i < last; ++i) {
    if (weights[tokens.places[i]] == 0) continue;
    sum += logRatio(tokens, tokens.places[i]);
    counted += 1;
  }
  return counted == 0 ? 0 : sum / static_cast<double>(counted);
}

}  // namespace rlt
