#include <ATen/ATen.h>
#include <ATen/core/PhiloxRNGEngine.h>

#include "native/benchmark/cases.h"
#include "native/sampling/choose_token.h"
#include "native/scoring/token_log_probabilities.h"

namespace rlt::benchmark {
namespace {

constexpr double kTemperature = 0.7;

/// The output projection and what it is applied to: logits of size 1.
struct Head {
  Head(const Sizes& sizes, const Setting& setting) {
    const int64_t tokens = sizes.at("tokens"), width = sizes.at("hidden"), vocabulary = sizes.at("vocabulary");
    hidden = randomNormal({tokens, width}, setting, 0);
    projection = randomNormal({vocabulary, width}, setting, 1, 1 / std::sqrt(static_cast<double>(width)));
    targets = randomIntegers(tokens, vocabulary, setting, 2);
    product = 2.0 * tokens * width * vocabulary;
  }

  at::Tensor hidden, projection, targets;
  double product;  // operations of hidden times projection
};

/// With all logits held at once, in the model's type; log-softmax in fp32 or wider.
at::Tensor plainLogProbabilities(const at::Tensor& hidden, const at::Tensor& projection, const at::Tensor& targets) {
  const at::Tensor logits = at::linear(hidden, projection);
  const at::Tensor wide = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
  return (wide / kTemperature).log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1);
}

DrawSource drawOf(int64_t row, const Setting& setting) { return {setting.seed, static_cast<uint64_t>(row), 17}; }

/// The number in (0, 1) that a row draws: where the cumulative distribution passes it lies the token.
at::Tensor draws(int64_t rows, const Setting& setting) {
  std::vector<double> values;
  for (int64_t row = 0; row < rows; ++row) {
    const DrawSource source = drawOf(row, setting);
    values.push_back((at::Philox4_32(source.seed, source.sample, source.position)() + 0.5) / 4294967296.0);
  }
  return at::tensor(values, at::TensorOptions().dtype(at::kDouble)).unsqueeze(1).to(setting.device);
}

}  // namespace

KernelCase tokenLogProbabilitiesCase(const Sizes& sizes, const Setting& setting) {
  const Head head(sizes, setting);
  KernelCase result;
  result.outputs = {"log-probabilities"};
  result.kernel = [=] { return Tensors{tokenLogProbabilities(head.hidden, head.projection, head.targets, kTemperature).values}; };
  result.plain = [=] { return Tensors{plainLogProbabilities(head.hidden, head.projection, head.targets)}; };
  result.exact = [=](const Tensors&) { return Tensors{plainLogProbabilities(exactly(head.hidden), exactly(head.projection), head.targets)}; };
  result.operations = head.product;
  result.bytes = bytesOf({head.hidden, head.projection});
  return result;
}

KernelCase tokenEntropiesCase(const Sizes& sizes, const Setting& setting) {
  const Head head(sizes, setting);
  const auto plain = [=](const at::Tensor& hidden, const at::Tensor& projection) {
    const at::Tensor logits = at::linear(hidden, projection);
    const at::Tensor logProbabilities = ((logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat)) / kTemperature).log_softmax(-1);
    return Tensors{logProbabilities.gather(1, head.targets.unsqueeze(1)).squeeze(1), (logProbabilities.exp() * logProbabilities).sum(-1).neg()};
  };
  KernelCase result;
  result.outputs = {"log-probabilities", "entropies"};
  result.kernel = [=] {
    const TokenLogProbabilities found = tokenLogProbabilities(head.hidden, head.projection, head.targets, kTemperature, true);
    return Tensors{found.values, found.entropy};
  };
  result.plain = [=] { return plain(head.hidden, head.projection); };
  result.exact = [=](const Tensors&) { return plain(exactly(head.hidden), exactly(head.projection)); };
  result.operations = head.product;
  result.bytes = bytesOf({head.hidden, head.projection});
  return result;
}

KernelCase tokenLogProbabilitiesBackwardCase(const Sizes& sizes, const Setting& setting) {
  const Head head(sizes, setting);
  const Setting wide{at::kFloat, setting.device, setting.seed};
  const at::Tensor gradient = randomNormal({head.hidden.size(0)}, wide, 3);
  const at::Tensor before = randomNormal(head.projection.sizes(), wide, 4, 0.1);  // of earlier batches
  const auto projectionGradient = std::make_shared<at::Tensor>(at::empty_like(before));
  const TokenLogProbabilities forward = tokenLogProbabilities(head.hidden, head.projection, head.targets, kTemperature);
  KernelCase result;
  result.outputs = {"hidden gradient", "projection gradient"};
  result.prepare = [=] { projectionGradient->copy_(before); };
  result.kernel = [=] {
    const at::Tensor hiddenGradient =
        tokenLogProbabilitiesBackward(gradient, forward, head.hidden, head.projection, *projectionGradient, head.targets, kTemperature);
    return Tensors{hiddenGradient, *projectionGradient};
  };
  result.plain = [=] {
    const at::Tensor probabilities = (at::linear(head.hidden, head.projection).to(at::kFloat) / kTemperature).softmax(-1);
    at::Tensor logitsGradient = probabilities.neg_();
    logitsGradient.scatter_add_(1, head.targets.unsqueeze(1), at::ones({head.targets.size(0), 1}, gradient.options()));
    const at::Tensor narrow = logitsGradient.mul_(gradient.unsqueeze(1) / kTemperature).to(head.hidden.scalar_type());
    projectionGradient->add_(at::matmul(narrow.t(), head.hidden));
    return Tensors{at::matmul(narrow, head.projection), *projectionGradient};
  };
  result.exact = [=](const Tensors&) {
    const auto forward = [&](const Tensors& inputs) { return plainLogProbabilities(inputs[0], inputs[1], head.targets.clone()); };
    const Tensors gradients = gradientsOf({head.hidden, head.projection}, forward, gradient);
    return Tensors{gradients[0], exactly(before) + gradients[1]};
  };
  result.operations = 3 * head.product;  // the logits once more, and two gradients
  result.bytes = 2 * bytesOf({head.hidden}) + bytesOf({head.projection}) + 2 * bytesOf({before});
  return result;
}

namespace {

/// Probabilities [rows, vocabulary] of what the filters leave, 0 elsewhere: each filters what the one before left, and of
/// equal tokens the first are kept. Not yet divided by their sum.
at::Tensor filtered(const at::Tensor& probabilities, const SamplingOptions& options) {
  const auto [sorted, order] = probabilities.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true);
  at::Tensor kept = sorted.clone();
  if (options.topK > 0 && options.topK < kept.size(1)) kept.narrow(1, options.topK, kept.size(1) - options.topK).zero_();
  if (options.topP < 1) {
    const at::Tensor before = kept.cumsum(-1) - kept;
    kept.masked_fill_(before >= options.topP * kept.sum(-1, /*keepdim=*/true), 0);
  }
  kept.masked_fill_(kept < options.minP * sorted.narrow(1, 0, 1), 0);
  return at::zeros_like(kept).scatter_(1, order, kept);
}

/// 1 where a token is the one that a draw falls to, within the rounding of fp32 weights: on the edge of two tokens it
/// may be either.
at::Tensor fallsTo(const at::Tensor& probabilities, const at::Tensor& token, const at::Tensor& drawn) {
  constexpr double kEdge = 1e-6;
  const at::Tensor cumulative = (probabilities / probabilities.sum(-1, true)).cumsum(-1);
  const at::Tensor own = (probabilities / probabilities.sum(-1, true)).gather(1, token);
  const at::Tensor upper = cumulative.gather(1, token), lower = upper - own;
  return (lower - kEdge <= drawn).logical_and(drawn <= upper + kEdge).logical_and(own > 0);
}

at::Tensor drawnFrom(const at::Tensor& probabilities, const at::Tensor& drawn) {
  const at::Tensor cumulative = probabilities.cumsum(-1, at::kDouble);
  return at::searchsorted(cumulative, drawn * cumulative.narrow(1, cumulative.size(1) - 1, 1)).clamp(0, probabilities.size(1) - 1);
}

KernelCase choiceCase(const Sizes& sizes, const Setting& setting, const SamplingOptions& options) {
  const int64_t rows = sizes.at("tokens"), vocabulary = sizes.at("vocabulary");
  const at::Tensor logits = randomNormal({rows, vocabulary}, setting, 0, 2);
  const at::Tensor drawn = draws(rows, setting);
  std::vector<DrawSource> sources;
  for (int64_t row = 0; row < rows; ++row) sources.push_back(drawOf(row, setting));
  KernelCase result;
  result.outputs = {"tokens", "log-probabilities"};
  result.kernel = [=] {
    const std::vector<ChosenToken> chosen = chooseTokens(logits, sources, options);
    at::Tensor tokens = at::empty({rows}, at::TensorOptions().dtype(at::kLong)), logProbabilities = at::empty({rows});
    for (int64_t row = 0; row < rows; ++row) {
      tokens.mutable_data_ptr<int64_t>()[row] = chosen[row].token;
      logProbabilities.mutable_data_ptr<float>()[row] = chosen[row].logProbability;
    }
    return Tensors{tokens, logProbabilities};
  };
  result.plain = [=] {
    const at::Tensor logProbabilities = (logits.to(at::kFloat) / options.temperature).log_softmax(-1);
    const at::Tensor tokens = drawnFrom(filtered(logProbabilities.exp(), options), drawn);
    return Tensors{tokens.squeeze(1).cpu(), logProbabilities.gather(1, tokens).squeeze(1).cpu()};
  };
  result.exact = [=](const Tensors& found) {
    const at::Tensor logProbabilities = (exactly(logits) / options.temperature).log_softmax(-1), probabilities = logProbabilities.exp();
    const at::Tensor token = found[0].to(setting.device).unsqueeze(1);
    // Where top-p ends on the edge of two tokens, the last one may be kept or not.
    at::Tensor right = fallsTo(filtered(probabilities, options), token, drawn);
    for (const double topP : {options.topP - 1e-6, options.topP + 1e-6}) {
      SamplingOptions near = options;
      near.topP = topP;
      if (options.topP < 1) right = right.logical_or(fallsTo(filtered(probabilities, near), token, drawn));
    }
    const at::Tensor expected = at::where(right, token, drawnFrom(filtered(probabilities, options), drawn));
    return Tensors{expected.squeeze(1).cpu(), logProbabilities.gather(1, token).squeeze(1).cpu()};
  };
  result.operations = 4.0 * static_cast<double>(logits.numel());  // an exponential counted as one
  result.bytes = bytesOf({logits});
  return result;
}

}  // namespace

KernelCase chooseTokenCase(const Sizes& sizes, const Setting& setting) { return choiceCase(sizes, setting, {.temperature = kTemperature}); }

KernelCase chooseFilteredTokenCase(const Sizes& sizes, const Setting& setting) {
  return choiceCase(sizes, setting, {.temperature = kTemperature, .topK = 200, .topP = 0.8, .minP = 0.01});
}

}  // namespace rlt::benchmark
