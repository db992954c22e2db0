// Losses over the log-probabilities of suffix tokens: what each token contributes, and how that changes with its
// log-probability. Everything below is the decoder's business; how advantages and weights come about is the caller's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rlt {

/// The suffix tokens of a packed batch as the model sees them now.
struct ScoredTokens {
  std::span<const float> logProbabilities;  // of all suffix tokens
  std::span<const float> entropies;         // of the distributions that the tokens at `places` are from, in nats
  std::span<const int64_t> places;          // ascending: the suffix tokens that are predicted; after an empty prefix the first is not
  std::span<const int64_t> suffixLengths;   // of every suffix, in tokens
};

/// Sums over tokens; means are taken by whoever adds up several batches.
struct LossStatistics {
  double loss = 0;
  int64_t tokens = 0;             // with a weight other than 0
  double entropySum = 0;          // over such tokens, as all below
  double klReferenceSum = 0;      // of k3
  double ratioSum = 0;
  int64_t clipped = 0;
  std::vector<float> logProbabilities;  // of all suffix tokens, as the model gives them now
};

/// d loss / d log-probability of each token at `places`.
using TokenGradients = std::vector<double>;

/// Supervised fine-tuning: - weight * log p.
struct SftLoss {
  std::span<const float> weights;  // per suffix token

  TokenGradients operator()(const ScoredTokens& tokens, LossStatistics& statistics) const;
};

/// What a probability ratio is of: a token, or a whole suffix, whose ratio is the geometric mean of its tokens'.
enum class RatioLevel { kToken, kSequence };

/// surrogate: - min(ratio A, clip(ratio) A), which has no gradient where the clipping holds (PPO, arXiv 1707.06347, eq. 7).
/// weight: - stopgradient(clip(ratio)) A log p, which always has one (CISPO, arXiv 2506.13585, eq. 4 and 5).
enum class Clipping { kSurrogate, kWeight };

/// The policy losses of the GRPO family (Shao et al. 2024, arXiv 2402.03300, eq. 3 and 4), per token:
///   weight * ( policy term + beta * k3 ), k3 = exp(log p_ref - log p) - (log p_ref - log p) - 1,
/// the policy term being as `clipping` says, with clip(ratio) = clip(ratio, 1 - clipLow, 1 + clipHigh) and
///   ratio = exp(log p - log p_old), or the suffix's exp(mean(log p - log p_old)) (GSPO, arXiv 2507.18071, eq. 7)
/// over its tokens of a weight other than 0; through that mean each of them has a share of the others' gradients.
/// Without old log-probabilities the policy is the one that sampled: the ratio is 1 and only its gradient counts.
struct GrpoLoss {
  std::span<const float> weights;                     // per suffix token
  std::span<const float> advantages;                  // per suffix token
  std::span<const float> oldLogProbabilities;         // per suffix token, or empty
  std::span<const float> referenceLogProbabilities;   // per suffix token, or empty: no KL term
  double beta = 0;
  double clipLow = 0.2;
  double clipHigh = 0.2;
  RatioLevel ratioLevel = RatioLevel::kToken;
  Clipping clipping = Clipping::kSurrogate;

  TokenGradients operator()(const ScoredTokens& tokens, LossStatistics& statistics) const;

 private:
  void addSuffix(const ScoredTokens& tokens, size_t first, size_t last, TokenGradients& gradients, LossStatistics& statistics) const;
  double logRatio(const ScoredTokens& tokens, int64_t place) const;
  double meanLogRatio(const ScoredTokens& tokens, size_t first, size_t last) const;
};

}  // namespace rlt
