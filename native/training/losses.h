// Losses over the log-probabilities of suffix tokens. A loss sees one token at a time and says what it contributes
// and how that changes with the token's log-probability; everything below is the decoder's business.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rlt {

/// Sums over tokens; means are taken by whoever adds up several batches.
struct LossStatistics {
  double loss = 0;
  int64_t tokens = 0;             // with a weight other than 0
  double klReferenceSum = 0;      // of k3 per such token
  double ratioSum = 0;
  int64_t clipped = 0;
  std::vector<float> logProbabilities;  // of all suffix tokens, as the model gives them now
};

struct TokenLoss {
  double loss = 0;
  double gradient = 0;  // d loss / d log-probability
};

/// Supervised fine-tuning: - weight * log p.
struct SftLoss {
  std::span<const float> weights;  // per suffix token

  TokenLoss operator()(int64_t token, double logProbability, LossStatistics& statistics) const;
};

/// Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300, eq. 3 and 4), per token:
///   weight * ( - min(ratio A, clip(ratio, 1 - clipLow, 1 + clipHigh) A) + beta * k3 ),
///   ratio = exp(log p - log p_old), k3 = exp(log p_ref - log p) - (log p_ref - log p) - 1.
/// Without old log-probabilities the policy is the one that sampled: the ratio is 1 and only its gradient counts.
struct GrpoLoss {
  std::span<const float> weights;                     // per suffix token
  std::span<const float> advantages;                  // per suffix token
  std::span<const float> oldLogProbabilities;         // per suffix token, or empty
  std::span<const float> referenceLogProbabilities;   // per suffix token, or empty: no KL term
  double beta = 0;
  double clipLow = 0.2;
  double clipHigh = 0.2;

  TokenLoss operator()(int64_t token, double logProbability, LossStatistics& statistics) const;
};

}  // namespace rlt
