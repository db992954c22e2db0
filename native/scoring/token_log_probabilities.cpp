#include "native/scoring/token_log_probabilities.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cuda/operations.h"
#include "native/kernels/operations.h"
#include "native/parallel.h"

namespace rlt {
namespace {

/// Logits held at a time: 8 million, 16 MB in bfloat16.
constexpr int64_t kLogitsHeld = 8 << 20;

template <typename Visit>
void forEachVocabularySlice(int64_t tokens, int64_t vocabulary, const Visit& visit) {
  const int64_t wanted = kLogitsHeld / std::max<int64_t>(tokens, 1);
  const int64_t slice = std::min(vocabulary, std::max<int64_t>(512, wanted / 64 * 64));
  for (int64_t first = 0; first < vocabulary; first += slice) visit(first, std::min(slice, vocabulary - first));
}

/// What is known of each token's logits x after some slices of the vocabulary; [n] each.
struct RunningSoftmax {
  at::Tensor maximum;
  at::Tensor sum;          // of exp(x - maximum)
  at::Tensor weightedSum;  // of (x - maximum) exp(x - maximum); undefined where no entropy is wanted
  at::Tensor targetLogit;
};

/// Brings a weighted sum to another maximum: every x - maximum changes by `shift`, and every exponential by exp(shift).
double shifted(double weightedSum, double sum, double shift) {
  return sum == 0 ? 0 : std::exp(shift) * (weightedSum + shift * sum);
}

/// Folds a slice into what is known, and picks out targets that lie in it.
void accumulate(const at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, RunningSoftmax& running) {
  auto& [maximum, sum, weightedSum, targetLogit] = running;
  const bool withEntropy = weightedSum.defined();
  const int64_t n = logits.size(0), width = logits.size(1);
#ifdef RLT_CUDA_KERNELS
  if (logits.is_cuda()) return cuda::accumulateLogits(logits, first, scale, targets, maximum, sum, weightedSum, targetLogit);
#endif
  if (!logits.is_cpu()) {
    const at::Tensor scaled = logits.to(at::kFloat) * scale;
    const at::Tensor newMaximum = at::maximum(maximum, scaled.amax(1));
    const at::Tensor below = scaled - newMaximum.unsqueeze(1);
    const at::Tensor terms = below.exp();
    if (withEntropy) {
      // The first slice has no maximum before it; times a sum of 0, any finite shift will do.
      const at::Tensor shift = (maximum - newMaximum).clamp_min(std::numeric_limits<float>::lowest());
      weightedSum.add_(sum * shift).mul_(shift.exp()).add_((below * terms).sum(1));
    }
    sum.mul_((maximum - newMaximum).exp_()).add_(terms.sum(1));
    maximum.copy_(newMaximum);
    const at::Tensor place = (targets - first).clamp(0, width - 1);
    const at::Tensor inside = (targets >= first).logical_and_(targets < first + width);
    targetLogit.copy_(at::where(inside, scaled.gather(1, place.unsqueeze(1)).squeeze(1), targetLogit));
    return;
  }
  cpu::dispatch(logits, [&]<typename T>(T) {
    parallelFor(0, n, std::max<int64_t>(1, 16384 / width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* values = cpu::pointer<T>(logits) + row * width;
        const auto& kernels = cpu::vectorKernels<T>();
        const auto summarise = withEntropy ? kernels.summariseForEntropy : kernels.summarise;
        const cpu::LogitsSummary summary = summarise(values, width, static_cast<float>(scale));
        float& runningMaximum = cpu::pointer<float>(maximum)[row];
        double& runningSum = cpu::pointer<double>(sum)[row];
        const float newMaximum = std::max(runningMaximum, summary.maximum);
        if (withEntropy) {
          double& runningWeighted = cpu::pointer<double>(weightedSum)[row];
          runningWeighted = shifted(runningWeighted, runningSum, static_cast<double>(runningMaximum - newMaximum)) +
                            shifted(summary.weightedSum, summary.sum, static_cast<double>(summary.maximum - newMaximum));
        }
        runningSum = runningSum * std::exp(static_cast<double>(runningMaximum - newMaximum)) +
                     summary.sum * std::exp(static_cast<double>(summary.maximum - newMaximum));
        runningMaximum = newMaximum;
        const int64_t place = cpu::pointer<int64_t>(targets)[row] - first;
        if (place >= 0 && place < width) {
          float wide;
          if constexpr (std::is_same_v<T, float>) {
            wide = values[place];
          } else {
            wide = c10::detail::f32_from_bits(values[place].bits);
          }
          cpu::pointer<float>(targetLogit)[row] = wide * static_cast<float>(scale);
        }
      }
    });
  });
}

/// Turns a slice of logits into their gradient, in place.
void toGradient(at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, const at::Tensor& logNormaliser,
                const at::Tensor& coefficient) {
  const int64_t n = logits.size(0), width = logits.size(1);
#ifdef RLT_CUDA_KERNELS
  if (logits.is_cuda()) return cuda::logitsToGradient(logits, first, scale, targets, logNormaliser, coefficient);
#endif
  if (!logits.is_cpu()) {
    at::Tensor gradient = (logits.to(at::kFloat) * scale - logNormaliser.unsqueeze(1)).exp_().neg_();
    const at::Tensor place = (targets - first).clamp(0, width - 1).unsqueeze(1);
    const at::Tensor inside = (targets >= first).logical_and_(targets < first + width).to(at::kFloat);
    gradient.scatter_add_(1, place, inside.unsqueeze(1));
    logits.copy_(gradient.mul_(coefficient.unsqueeze(1)));
    return;
  }
  cpu::dispatch(logits, [&]<typename T>(T) {
    parallelFor(0, n, std::max<int64_t>(1, 16384 / width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t place = cpu::pointer<int64_t>(targets)[row] - first;
        cpu::vectorKernels<T>().logProbabilityGradient(cpu::pointer<T>(logits) + row * width, width, static_cast<float>(scale),
                                                       cpu::pointer<float>(logNormaliser)[row], place >= 0 && place < width ? place : -1,
                                                       cpu::pointer<float>(coefficient)[row]);
      }
    });
  });
}

}  // namespace

TokenLogProbabilities tokenLogProbabilities(const at::Tensor& hidden, const at::Tensor& projection, const at::Tensor& targets, double temperature,
                                            bool withEntropy) {
  const int64_t n = hidden.size(0);
  const auto options = hidden.options().dtype(at::kFloat);
  const auto sumOptions = hidden.is_cpu() ? options.dtype(at::kDouble) : options;
  RunningSoftmax running{at::full({n}, -std::numeric_limits<float>::infinity(), options), at::zeros({n}, sumOptions),
                         withEntropy ? at::zeros({n}, sumOptions) : at::Tensor(), at::zeros({n}, options)};
  forEachVocabularySlice(n, projection.size(0), [&](int64_t first, int64_t width) {
    const at::Tensor logits = kernels::linear(hidden, projection.narrow(0, first, width));
    accumulate(logits, first, 1.0 / temperature, targets, running);
  });
  const at::Tensor logNormaliser = (running.sum.log() + running.maximum).to(at::kFloat);
  at::Tensor entropy;
  if (withEntropy) entropy = (running.sum.log() - running.weightedSum / running.sum).to(at::kFloat);
  return {running.targetLogit - logNormaliser, logNormaliser, entropy};
}

at::Tensor tokenLogProbabilitiesBackward(const at::Tensor& gradient, const TokenLogProbabilities& forward, const at::Tensor& hidden,
                                         const at::Tensor& projection, at::Tensor& projectionGradient, const at::Tensor& targets,
                                         double temperature) {
  at::Tensor hiddenGradient = at::zeros(hidden.sizes(), hidden.options().dtype(at::kFloat));
  const at::Tensor coefficient = gradient.to(at::kFloat).div(temperature);
  forEachVocabularySlice(hidden.size(0), projection.size(0), [&](int64_t first, int64_t width) {
    const at::Tensor slice = projection.narrow(0, first, width);
    at::Tensor logits = kernels::linear(hidden, slice);
    toGradient(logits, first, 1.0 / temperature, targets, forward.logNormaliser, coefficient);
    hiddenGradient.add_(kernels::linearBackwardInput(logits, slice));
    if (!projectionGradient.defined()) return;
    at::Tensor sliceGradient = projectionGradient.narrow(0, first, width);
    kernels::linearBackwardWeight(logits, hidden, sliceGradient);
  });
  return hiddenGradient.to(hidden.scalar_type());
}

}  // namespace rlt
