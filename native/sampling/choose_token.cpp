#include "native/sampling/choose_token.h"

#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "native/kernels/cpu/dispatch.h"
#include "native/kernels/cuda/choose_token.h"
#include "native/parallel.h"

namespace rlt {
namespace {

/// Uniform in (0, 1), from a counter-based generator (Philox4x32-10, Salmon et al. 2011).
double uniform(const DrawSource& source) {
  at::Philox4_32 generator(source.seed, source.sample, source.position);
  return (static_cast<double>(generator()) + 0.5) / 4294967296.0;
}

Error notFinite() {
  return Error("ERR_NUMERICS", "The model's logits are not finite: its weights or activations overflowed. Check the weights, or load the model in float32.");
}

template <typename T>
float widen(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    return c10::detail::f32_from_bits(value.bits);
  }
}

template <typename T>
int32_t argmax(const T* logits, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (widen(logits[i]) > widen(logits[best])) best = i;
  }
  return static_cast<int32_t>(best);
}

/// Inverse of the cumulative distribution at `u` over the whole vocabulary, a block of exponentials at a time.
template <typename T>
int32_t drawUnfiltered(const T* logits, int64_t n, float scale, const cpu::LogitsSummary& summary, double u) {
  constexpr int64_t kBlock = 1024;
  float weights[kBlock];
  const double wanted = u * summary.sum;
  double passed = 0;
  int64_t lastPossible = 0;
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t count = std::min(kBlock, n - start);
    cpu::vectorKernels<T>().exponentials(logits + start, weights, count, scale, summary.maximum);
    double block = 0;
    for (int64_t i = 0; i < count; ++i) block += weights[i];
    if (passed + block < wanted) {
      passed += block;
      if (block > 0) lastPossible = start + (std::find_if(std::reverse_iterator(weights + count), std::reverse_iterator(weights),
                                                          [](float w) { return w > 0; }).base() - weights) - 1;
      continue;
    }
    for (int64_t i = 0; i < count; ++i) {
      passed += weights[i];
      if (weights[i] > 0) lastPossible = start + i;
      if (passed >= wanted && weights[i] > 0) return static_cast<int32_t>(start + i);
    }
  }
  return static_cast<int32_t>(lastPossible);  // rounding left `wanted` beyond the end
}

/// The tokens that the filters leave, in order of their ids. `weights` are unnormalised, the largest being 1.
std::vector<int32_t> filtered(const std::vector<float>& weights, double sum, const SamplingOptions& options) {
  const auto n = static_cast<int64_t>(weights.size());
  const auto heavier = [&](int32_t a, int32_t b) { return weights[a] != weights[b] ? weights[a] > weights[b] : a < b; };
  std::vector<int32_t> kept;
  // Tokens that together weigh less than the tail that top-p cuts off need not be sorted.
  const double negligible = options.topP < 1 && options.topK <= 0 ? (1 - options.topP) * sum / static_cast<double>(n) : 0;
  const double least = std::max(negligible, options.minP);
  for (int32_t token = 0; token < n; ++token) {
    if (weights[token] >= (options.topK > 0 || options.topP < 1 ? negligible : least)) kept.push_back(token);
  }
  if (options.topK > 0 && options.topK < static_cast<int64_t>(kept.size())) {
    std::nth_element(kept.begin(), kept.begin() + options.topK - 1, kept.end(), heavier);
    kept.resize(options.topK);
  }
  if (options.topP < 1) {
    std::sort(kept.begin(), kept.end(), heavier);
    double total = sum;
    if (options.topK > 0) {
      total = 0;
      for (const int32_t token : kept) total += weights[token];
    }
    double passed = 0;
    size_t count = 0;
    while (count < kept.size() && (count == 0 || passed < options.topP * total)) passed += weights[kept[count++]];
    kept.resize(count);
  }
  if (options.minP > 0) std::erase_if(kept, [&](int32_t token) { return weights[token] < options.minP; });
  std::sort(kept.begin(), kept.end());
  return kept;
}

template <typename T>
ChosenToken choose(const T* logits, int64_t n, const SamplingOptions& options, const DrawSource& source) {
  const bool greedy = options.temperature == 0;
  const float scale = greedy ? 1.0f : static_cast<float>(1.0 / options.temperature);
  const cpu::LogitsSummary summary = cpu::vectorKernels<T>().summarise(logits, n, scale);
  if (!std::isfinite(summary.maximum) || !std::isfinite(summary.sum)) throw notFinite();

  ChosenToken chosen;
  if (greedy) {
    chosen.token = argmax(logits, n);
  } else if (options.topK <= 0 && options.topP >= 1 && options.minP <= 0) {
    chosen.token = drawUnfiltered(logits, n, scale, summary, uniform(source));
  } else {
    std::vector<float> weights(n);
    cpu::vectorKernels<T>().exponentials(logits, weights.data(), n, scale, summary.maximum);
    const std::vector<int32_t> kept = filtered(weights, summary.sum, options);
    double total = 0;
    for (const int32_t token : kept) total += weights[token];
    const double wanted = uniform(source) * total;
    double passed = 0;
    for (const int32_t token : kept) {
      chosen.token = token;
      passed += weights[token];
      if (passed >= wanted) break;
    }
  }
  chosen.logProbability = static_cast<float>(static_cast<double>(widen(logits[chosen.token]) * scale - summary.maximum) - std::log(summary.sum));
  return chosen;
}

}  // namespace

#ifdef RLT_CUDA_KERNELS
namespace {

std::vector<ChosenToken> chooseOnCuda(const at::Tensor& logits, const std::vector<DrawSource>& sources, const SamplingOptions& options) {
  std::vector<double> draws;  // the very numbers that the CPU would draw
  if (options.temperature > 0) std::transform(sources.begin(), sources.end(), std::back_inserter(draws), uniform);
  std::vector<ChosenToken> chosen = cuda::chooseTokens(logits, std::move(draws), options);
  if (std::any_of(chosen.begin(), chosen.end(), [](const ChosenToken& c) { return c.token < 0; })) throw notFinite();
  return chosen;
}

}  // namespace
#endif

std::vector<ChosenToken> chooseTokens(const at::Tensor& logits, const std::vector<DrawSource>& sources, const SamplingOptions& options) {
#ifdef RLT_CUDA_KERNELS
  if (logits.is_cuda()) return chooseOnCuda(logits, sources, options);
#endif
  const at::Tensor rows = logits.to(at::kCPU);  // on the behalf of devices without a kernel for it
  std::vector<ChosenToken> chosen(rows.size(0));
  cpu::dispatch(rows, [&]<typename T>(T) {
    parallelFor(0, rows.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        chosen[row] = choose(cpu::pointer<T>(rows) + row * rows.stride(0), rows.size(1), options, sources[row]);
      }
    });
  });
  return chosen;
}

}  // namespace rlt
